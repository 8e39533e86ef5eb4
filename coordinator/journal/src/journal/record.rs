//! One record of a segment, format version 1. All numbers are little-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | length of the payload, never 0 |
//! | 4 | kind |
//! | 5..8 | zero |
//! | 8..12 | bytes of the segment that were known to be durable when this was written |
//! | 12..16 | bytes 20..24 of the record before, or the checksum of the segment's header |
//! | 16..20 | CRC-32C of the payload |
//! | 20..24 | CRC-32C of the segment header's checksum, this record's offset, and bytes 0..20 |
//! | 24.. | payload, then zeroes up to a multiple of 8 |
//!
//! The checksum ties a record to its place, so bytes that were copied or left over elsewhere are no record; the chain ties it
//! to its predecessor, so a record that followed on another one that was replaced since is none either.

use crate::bytes::{set_u32, to_u32, to_usize, u32_at, u64_at};
use crate::types::{EntryKind, HardState, Position};

/// Bytes before the payload.
pub(super) const HEADER_BYTES: usize = 24;
/// Records begin at multiples of this.
pub(super) const ALIGNMENT: usize = 8;
/// A [`Record::Seal`], for which every segment keeps room.
pub(super) const SEAL_BYTES: usize = HEADER_BYTES + 8;
/// Payload of an entry before its data: index and term.
const ENTRY_HEAD_BYTES: usize = 16;

/// An entry without data.
pub(super) const ENTRY_BYTES: usize = HEADER_BYTES + ENTRY_HEAD_BYTES;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record<'a> {
    /// The hard state from here on.
    HardState(HardState),
    /// An entry, in the place of all that have its index or a greater one.
    Entry {
        at: Position,
        kind: EntryKind,
        data: &'a [u8],
    },
    /// The log begins after `start` from here on, and ends with the index `last`: entries after `start` were kept, or, if the
    /// two are the same, given up.
    Start { start: Position, last: u64 },
    /// The segment ends here and `next` follows.
    Seal { next: u64 },
}

/// Where a record is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Checksum of the segment's header.
    pub(super) seed: u32,
    /// In bytes from the segment's start.
    pub(super) offset: usize,
    /// [`Found::checksum`] of the record before, or `seed`.
    pub(super) chain: u32,
    /// Bytes of the segment known to be durable.
    pub(super) synced: usize,
}

/// A record that was read.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) record: Record<'a>,
    pub(super) chain: u32,
    pub(super) synced: usize,
    pub(super) checksum: u32,
    /// Offset behind it.
    pub(super) end: usize,
}

/// What lies at an offset.
#[derive(Debug)]
pub(super) enum Parsed<'a> {
    Valid(Found<'a>),
    /// Nothing but zeroes where a header would be: the end of what was written.
    Zero,
    /// Something else, in words.
    Bad(&'static str),
}

impl<'a> Record<'a> {
    fn kind(&self) -> u8 {
        match self {
            Self::HardState(_) => 1,
            Self::Entry { kind, .. } => match kind {
                EntryKind::Command => 2,
                EntryKind::Membership => 3,
            },
            Self::Start { .. } => 4,
            Self::Seal { .. } => 5,
        }
    }

    fn payload_bytes(&self) -> usize {
        match self {
            Self::HardState(_) | Self::Start { .. } => 24,
            Self::Entry { data, .. } => ENTRY_HEAD_BYTES + data.len(),
            Self::Seal { .. } => 8,
        }
    }

    /// Bytes that it takes in a segment.
    pub(super) fn bytes(&self) -> usize {
        (HEADER_BYTES + self.payload_bytes()).next_multiple_of(ALIGNMENT)
    }

    /// Appends it to `out`; its checksum, the next record's chain.
    pub(super) fn encode(&self, place: Place, out: &mut Vec<u8>) -> u32 {
        let begin = out.len();
        out.resize(begin + HEADER_BYTES, 0);
        match self {
            Self::HardState(state) => put(out, &[state.term, state.vote, state.commit]),
            Self::Entry { at, data, .. } => {
                put(out, &[at.index, at.term]);
                out.extend_from_slice(data);
            }
            Self::Start { start, last } => put(out, &[start.index, start.term, *last]),
            Self::Seal { next } => put(out, &[*next]),
        }
        let (head, payload) = out[begin..].split_at_mut(HEADER_BYTES);
        set_u32(head, 0, to_u32(payload.len()));
        head[4] = self.kind();
        set_u32(head, 8, to_u32(place.synced));
        set_u32(head, 12, place.chain);
        set_u32(head, 16, crc32c::crc32c(payload));
        let checksum = checksum(place.seed, place.offset, head);
        set_u32(head, 20, checksum);
        out.resize(begin + self.bytes(), 0);
        checksum
    }

    fn decode(kind: u8, payload: &'a [u8]) -> Option<Self> {
        let number = |at: usize| u64_at(payload, at * 8);
        let has = |count: usize| payload.len() == count * 8;
        match kind {
            1 if has(3) => Some(Self::HardState(HardState {
                term: number(0),
                vote: number(1),
                commit: number(2),
            })),
            2 | 3 if payload.len() >= ENTRY_HEAD_BYTES => Some(Self::Entry {
                at: position(number(0), number(1)),
                kind: if kind == 2 {
                    EntryKind::Command
                } else {
                    EntryKind::Membership
                },
                data: &payload[ENTRY_HEAD_BYTES..],
            }),
            4 if has(3) => Some(Self::Start {
                start: position(number(0), number(1)),
                last: number(2),
            }),
            5 if has(1) => Some(Self::Seal { next: number(0) }),
            _ => None,
        }
    }
}

/// What lies at `offset` of a segment with the checksum `seed`.
pub(super) fn parse(segment: &[u8], offset: usize, seed: u32) -> Parsed<'_> {
    let rest = segment.get(offset..).unwrap_or_default();
    let Some((head, behind)) = rest.split_at_checked(HEADER_BYTES) else {
        return if rest.iter().all(|byte| *byte == 0) {
            Parsed::Zero
        } else {
            Parsed::Bad("too few bytes for a record are left")
        };
    };
    if head.iter().all(|byte| *byte == 0) {
        return Parsed::Zero;
    }
    if checksum(seed, offset, head) != u32_at(head, 20) {
        return Parsed::Bad("the checksum of a record's header is wrong");
    }
    let length = to_usize(u64::from(u32_at(head, 0)));
    let Some(payload) = behind.get(..length) else {
        return Parsed::Bad("a record reaches beyond the segment's end");
    };
    if crc32c::crc32c(payload) != u32_at(head, 16) {
        return Parsed::Bad("the checksum of a record's payload is wrong");
    }
    let Some(record) = Record::decode(head[4], payload) else {
        return Parsed::Bad("a record has a kind or length that this release doesn't know");
    };
    Parsed::Valid(Found {
        end: offset + record.bytes(),
        record,
        chain: u32_at(head, 12),
        synced: to_usize(u64::from(u32_at(head, 8))),
        checksum: u32_at(head, 20),
    })
}

/// The checksum of a header, of which the last 4 bytes are left out.
fn checksum(seed: u32, offset: usize, head: &[u8]) -> u32 {
    let mut place = [0; 8];
    set_u32(&mut place, 0, seed);
    set_u32(&mut place, 4, to_u32(offset));
    crc32c::crc32c_append(crc32c::crc32c(&place), &head[..20])
}

fn put(out: &mut Vec<u8>, numbers: &[u64]) {
    for number in numbers {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn position(index: u64, term: u64) -> Position {
    Position { index, term }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place {
        seed: 7,
        offset: 8,
        chain: 11,
        synced: 4,
    };

    fn all(data: &[u8]) -> [Record<'_>; 5] {
        let entry = |kind| Record::Entry {
            at: position(3, 2),
            kind,
            data,
        };
        [
            Record::HardState(HardState {
                term: 1,
                vote: 2,
                commit: 3,
            }),
            entry(EntryKind::Command),
            entry(EntryKind::Membership),
            Record::Start {
                start: position(5, 6),
                last: 7,
            },
            Record::Seal { next: 8 },
        ]
    }

    fn encoded(record: &Record<'_>) -> Vec<u8> {
        let mut bytes = vec![0; PLACE.offset];
        record.encode(PLACE, &mut bytes);
        bytes
    }

    #[test]
    fn every_record_is_read_as_it_was_written() {
        for length in 0..20 {
            for record in all(&vec![9; length]) {
                let bytes = encoded(&record);
                assert_eq!(bytes.len(), PLACE.offset + record.bytes());
                assert_eq!(bytes.len() % ALIGNMENT, 0);
                let Parsed::Valid(found) = parse(&bytes, PLACE.offset, PLACE.seed) else {
                    panic!("{record:?}");
                };
                assert_eq!(found.record, record);
                assert_eq!((found.chain, found.synced, found.end), (11, 4, bytes.len()));
            }
        }
        assert_eq!(Record::Seal { next: 1 }.bytes(), SEAL_BYTES);
    }

    #[test]
    fn every_flipped_bit_but_of_the_padding_is_noticed() {
        for record in all(b"some data") {
            let bytes = encoded(&record);
            let written = PLACE.offset + HEADER_BYTES + record.payload_bytes();
            for bit in PLACE.offset * 8..written * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let parsed = parse(&flipped, PLACE.offset, PLACE.seed);
                assert!(matches!(parsed, Parsed::Bad(_)), "bit {bit}: {parsed:?}");
            }
        }
    }

    #[test]
    fn record_at_another_place_or_of_another_segment_is_none() {
        let bytes = encoded(&Record::Seal { next: 1 });
        let other = parse(&bytes, PLACE.offset, PLACE.seed + 1);
        assert!(matches!(other, Parsed::Bad(_)), "{other:?}");
        let mut moved = vec![0; 8];
        moved.extend(&bytes);
        let moved = parse(&moved, 16, PLACE.seed);
        assert!(matches!(moved, Parsed::Bad(_)), "{moved:?}");
    }

    #[test]
    fn zeroes_are_an_end_and_a_short_rest_is_too() {
        assert!(matches!(parse(&[0; 64], 8, 7), Parsed::Zero));
        assert!(matches!(parse(&[0; 64], 56, 7), Parsed::Zero));
        assert!(matches!(parse(&[0; 64], 64, 7), Parsed::Zero));
        assert!(matches!(parse(&[1; 64], 56, 7), Parsed::Bad(_)));
    }
}
