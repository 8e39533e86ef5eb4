//! Format version 1 of snapshot files. All numbers are little-endian.
//!
//! | header | what |
//! |---|---|
//! | 0..8 | `CONVOYSN` |
//! | 8..12 | format version |
//! | 12..16 | CRC-32C of bytes 0..12 and 16 to the header's end |
//! | 16..20 | length of the header |
//! | 20..24 | 1 if a joint configuration ends by itself, 0 otherwise |
//! | 24..40 | index and term of the last entry |
//! | 40..56 | how many voters, learners, outgoing voters and next learners |
//! | 56.. | their ids, 8 bytes each |
//!
//! Then chunks: length (4 bytes, never 0), CRC-32C (4 bytes) of the header's checksum, the chunk's number from 0, its length
//! and its payload; the payload. Then the trailer, with which the file ends: 4 bytes 0, CRC-32C (4 bytes) of the header's
//! checksum and what follows: bytes of payload (8), number of chunks (8).

use crate::bytes::{set_u32, set_u64, to_u32, to_usize, u32_at, u64_at};
use crate::error::JournalError;
use crate::types::{Position, SnapshotMeta};

const MAGIC: [u8; 8] = *b"CONVOYSN";
const VERSION: u32 = 1;
/// The header up to the ids.
pub(super) const HEAD_BYTES: usize = 56;
/// Ids in a header. Raft groups have 3 to 7 members, twice that while they change; more is damage.
const MOST_MEMBERS: usize = 1024;
/// Length and checksum of a chunk.
pub(super) const CHUNK_HEAD_BYTES: usize = 8;
/// Payload of a chunk as we write it.
pub(super) const CHUNK_BYTES: usize = 256 * 1024;
/// Payload of a chunk as we read it: what is longer is damage.
pub(super) const MOST_CHUNK_BYTES: usize = 4 << 20;
pub(super) const TRAILER_BYTES: usize = 24;

/// The header and its checksum; None if there are too many members.
pub(super) fn header(meta: &SnapshotMeta) -> Option<(Vec<u8>, u32)> {
    let groups = [
        &meta.voters,
        &meta.learners,
        &meta.voters_outgoing,
        &meta.learners_next,
    ];
    let members: usize = groups.iter().map(|group| group.len()).sum();
    if members > MOST_MEMBERS {
        return None;
    }
    let mut bytes = vec![0; HEAD_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    set_u32(&mut bytes, 8, VERSION);
    set_u32(&mut bytes, 16, to_u32(HEAD_BYTES + members * 8));
    set_u32(&mut bytes, 20, u32::from(meta.auto_leave));
    set_u64(&mut bytes, 24, meta.index);
    set_u64(&mut bytes, 32, meta.term);
    for (place, group) in groups.into_iter().enumerate() {
        set_u32(&mut bytes, 40 + place * 4, to_u32(group.len()));
        for id in group {
            bytes.extend_from_slice(&id.to_le_bytes());
        }
    }
    let checksum = header_checksum(&bytes);
    set_u32(&mut bytes, 12, checksum);
    Some((bytes, checksum))
}

/// The length of a header that begins with `head`, if it can be one of the file `name`.
pub(super) fn header_bytes(name: &str, head: &[u8]) -> Result<usize, JournalError> {
    let mut found = [0; 8];
    found.copy_from_slice(&head[..8]);
    if found != MAGIC {
        return Err(JournalError::WrongMagic {
            file: name.to_owned(),
            what: "snapshot",
            found,
            expected: MAGIC,
        });
    }
    let version = u32_at(head, 8);
    if version != VERSION {
        return Err(JournalError::WrongVersion {
            file: name.to_owned(),
            found: version,
            supported: VERSION,
        });
    }
    let length = to_usize(u64::from(u32_at(head, 16)));
    let most = HEAD_BYTES + MOST_MEMBERS * 8;
    if !(HEAD_BYTES..=most).contains(&length) {
        let what =
            format!("its header would have {length} bytes, {HEAD_BYTES} to {most} are possible");
        return Err(JournalError::corrupt(name, 16, what));
    }
    Ok(length)
}

/// Reads a whole header of the file `name`; what it says, and its checksum.
pub(super) fn meta(name: &str, header: &[u8]) -> Result<(SnapshotMeta, u32), JournalError> {
    let checksum = header_checksum(header);
    if checksum != u32_at(header, 12) {
        let what = "the checksum of the snapshot's header is wrong";
        return Err(JournalError::corrupt(name, 0, what));
    }
    let mut ids = header[HEAD_BYTES..]
        .chunks_exact(8)
        .map(|bytes| u64_at(bytes, 0));
    let mut group = |place: usize| -> Vec<u64> {
        let count = to_usize(u64::from(u32_at(header, 40 + place * 4)));
        ids.by_ref().take(count).collect()
    };
    let meta = SnapshotMeta {
        index: u64_at(header, 24),
        term: u64_at(header, 32),
        voters: group(0),
        learners: group(1),
        voters_outgoing: group(2),
        learners_next: group(3),
        auto_leave: u32_at(header, 20) == 1,
    };
    let Position { index, term } = meta.position();
    if super::position(name) != Some(meta.position()) {
        let what = format!("it says it ends with entry {index} of term {term}: it was renamed");
        return Err(JournalError::corrupt(name, 24, what));
    }
    Ok((meta, checksum))
}

fn header_checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..])
}

/// The checksum of a chunk.
pub(super) fn chunk_checksum(seed: u32, number: u64, payload: &[u8]) -> u32 {
    let mut place = [0; 16];
    set_u32(&mut place, 0, seed);
    set_u64(&mut place, 4, number);
    set_u32(&mut place, 12, to_u32(payload.len()));
    crc32c::crc32c_append(crc32c::crc32c(&place), payload)
}

/// How much payload there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trailer {
    pub(super) payload_bytes: u64,
    pub(super) chunks: u64,
}

impl Trailer {
    pub(super) fn encode(self, seed: u32) -> [u8; TRAILER_BYTES] {
        let mut bytes = [0; TRAILER_BYTES];
        set_u64(&mut bytes, 8, self.payload_bytes);
        set_u64(&mut bytes, 16, self.chunks);
        let checksum = trailer_checksum(seed, &bytes);
        set_u32(&mut bytes, 4, checksum);
        bytes
    }

    /// None if it is damaged or no trailer.
    pub(super) fn decode(bytes: &[u8; TRAILER_BYTES], seed: u32) -> Option<Self> {
        let is_whole = u32_at(bytes, 0) == 0 && u32_at(bytes, 4) == trailer_checksum(seed, bytes);
        is_whole.then(|| Self {
            payload_bytes: u64_at(bytes, 8),
            chunks: u64_at(bytes, 16),
        })
    }

    /// The length of a file with such a trailer.
    pub(super) fn file_bytes(self, header_bytes: usize) -> u64 {
        let heads = self.chunks.saturating_mul(CHUNK_HEAD_BYTES as u64);
        let fixed = (header_bytes + TRAILER_BYTES) as u64;
        heads
            .saturating_add(self.payload_bytes)
            .saturating_add(fixed)
    }
}

fn trailer_checksum(seed: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&seed.to_le_bytes()), &bytes[8..])
}
