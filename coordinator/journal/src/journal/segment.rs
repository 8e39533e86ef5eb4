//! A segment file: its name and its header, format version 1. All numbers are little-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | `CONVOYWL` |
//! | 8..12 | format version |
//! | 12..16 | CRC-32C of bytes 0..12 and 16..128 |
//! | 16..24 | sequence number of the segment, from 1 |
//! | 24..32 | length of the file |
//! | 32..48 | cluster, replica |
//! | 48..72 | hard state: term, vote, commit |
//! | 72..88 | start of the log: index, term |
//! | 88..104 | end of the log: index, term |
//! | 104..108 | checksum of the seal of the segment before; 0 for the first |
//! | 108 | 1: start, end and hard state are set anew; 0: they are what the segments before say |
//! | 109..128 | zero |
//!
//! A header says everything that older segments are still needed for, but for their entries; so those can be removed.

use super::record;
use crate::bytes::{set_u32, set_u64, u32_at, u64_at};
use crate::error::JournalError;
use crate::types::{HardState, Identity, Position};

/// Bytes before the first record.
pub(super) const HEADER_BYTES: usize = 128;
const MAGIC: [u8; 8] = *b"CONVOYWL";
const VERSION: u32 = 1;
/// What a segment is called until its header is durable.
pub(super) const UNFINISHED: &str = "log.tmp";
/// The segment kept for when the disk is full.
pub(super) const RESERVE: &str = "reserve.wal";
/// The same until it is whole.
pub(super) const UNFINISHED_RESERVE: &str = "reserve.tmp";

/// The name of the segment with this number; sorting names sorts numbers.
pub(super) fn name(sequence: u64) -> String {
    format!("log-{sequence:020}.wal")
}

/// The number in a segment's name; None for other files.
pub(super) fn sequence(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("log-")?.strip_suffix(".wal")?;
    let is_number = digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

/// Bytes for records in a segment of `length_bytes`, its seal left out.
pub(super) fn room(length_bytes: u64) -> u64 {
    length_bytes.saturating_sub((HEADER_BYTES + record::SEAL_BYTES) as u64)
}

/// The most data of an entry that fits into a segment of `length_bytes` by itself.
pub(crate) fn room_for_entry(length_bytes: u64) -> u64 {
    let whole = room(length_bytes) / record::ALIGNMENT as u64 * record::ALIGNMENT as u64;
    whole.saturating_sub(record::ENTRY_BYTES as u64)
}

/// What a segment says of itself and of the log before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) sequence: u64,
    pub(super) length_bytes: u64,
    pub(super) identity: Identity,
    pub(super) hard_state: HardState,
    pub(super) start: Position,
    pub(super) last: Position,
    pub(super) chain: u32,
    /// The log begins anew with it: a snapshot took its place.
    pub(super) restarts: bool,
}

impl Header {
    /// Its bytes, and its checksum, to which its records are tied.
    pub(super) fn encode(&self) -> ([u8; HEADER_BYTES], u32) {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        set_u32(&mut bytes, 8, VERSION);
        let numbers = [
            self.sequence,
            self.length_bytes,
            self.identity.cluster,
            self.identity.replica,
            self.hard_state.term,
            self.hard_state.vote,
            self.hard_state.commit,
            self.start.index,
            self.start.term,
            self.last.index,
            self.last.term,
        ];
        for (place, number) in numbers.into_iter().enumerate() {
            set_u64(&mut bytes, 16 + place * 8, number);
        }
        set_u32(&mut bytes, 104, self.chain);
        bytes[108] = u8::from(self.restarts);
        let checksum = checksum(&bytes);
        set_u32(&mut bytes, 12, checksum);
        (bytes, checksum)
    }

    /// Reads the header of the segment `name` and compares it with the name and the file's length.
    pub(super) fn decode(name: &str, segment: &[u8]) -> Result<(Self, u32), JournalError> {
        let Some(bytes) = segment.get(..HEADER_BYTES) else {
            return Err(JournalError::WrongLength {
                file: name.to_owned(),
                found_bytes: segment.len() as u64,
                expected_bytes: HEADER_BYTES as u64,
            });
        };
        let mut found = [0; 8];
        found.copy_from_slice(&bytes[..8]);
        if found != MAGIC {
            return Err(JournalError::WrongMagic {
                file: name.to_owned(),
                what: "log segment",
                found,
                expected: MAGIC,
            });
        }
        let version = u32_at(bytes, 8);
        if version != VERSION {
            return Err(JournalError::WrongVersion {
                file: name.to_owned(),
                found: version,
                supported: VERSION,
            });
        }
        let checksum = checksum(bytes);
        if checksum != u32_at(bytes, 12) {
            let what = "the checksum of the segment's header is wrong";
            return Err(JournalError::corrupt(name, 0, what));
        }
        let header = Self::from_numbers(bytes);
        header.fits(name, segment.len() as u64)?;
        Ok((header, checksum))
    }

    fn from_numbers(bytes: &[u8]) -> Self {
        let number = |place: usize| u64_at(bytes, 16 + place * 8);
        let position = |place: usize| Position {
            index: number(place),
            term: number(place + 1),
        };
        Self {
            sequence: number(0),
            length_bytes: number(1),
            identity: Identity {
                cluster: number(2),
                replica: number(3),
            },
            hard_state: HardState {
                term: number(4),
                vote: number(5),
                commit: number(6),
            },
            start: position(7),
            last: position(9),
            chain: u32_at(bytes, 104),
            restarts: bytes[108] == 1,
        }
    }

    fn fits(&self, name: &str, length_bytes: u64) -> Result<(), JournalError> {
        if sequence(name) != Some(self.sequence) {
            let what = format!(
                "it says it is {}: it was renamed",
                super::segment::name(self.sequence)
            );
            return Err(JournalError::corrupt(name, 16, what));
        }
        if self.length_bytes != length_bytes {
            return Err(JournalError::WrongLength {
                file: name.to_owned(),
                found_bytes: length_bytes,
                expected_bytes: self.length_bytes,
            });
        }
        Ok(())
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..HEADER_BYTES])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_their_numbers_and_other_names_are_none() {
        assert_eq!(name(12), "log-00000000000000000012.wal");
        assert_eq!(sequence(&name(u64::MAX)), Some(u64::MAX));
        for other in [
            "log.tmp",
            "reserve.wal",
            "log-12.wal",
            "log-0000000000000000001+.wal",
            "log-99999999999999999999.wal",
            "log-00000000000000000012.wal.bak",
        ] {
            assert_eq!(sequence(other), None, "{other}");
        }
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_noticed() {
        let header = Header {
            sequence: 3,
            length_bytes: 256,
            identity: Identity {
                cluster: 1,
                replica: 2,
            },
            hard_state: HardState::default(),
            start: Position::default(),
            last: Position { index: 5, term: 4 },
            chain: 9,
            restarts: true,
        };
        let mut bytes = header.encode().0.to_vec();
        bytes.resize(256, 0);
        assert_eq!(Header::decode(&name(3), &bytes).unwrap().0, header);
        for bit in 0..HEADER_BYTES * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&name(3), &bytes).is_err(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(Header::decode(&name(4), &bytes).is_err());
        assert!(Header::decode(&name(3), &bytes[..255]).is_err());
    }
}
