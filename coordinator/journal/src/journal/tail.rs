//! What comes after the last good record of the last segment: nothing, a torn tail, or damage.
//!
//! Writes that were not synced can reach the disk in any order, so even whole records behind a missing one prove nothing by
//! themselves. But each record says how much of the segment was durable when it was written: one that says so of the place
//! where no record is shows that there was one. That is damage; everything else was never promised to anybody, and is cut.

use super::record::{self, ALIGNMENT, Parsed, Record};
use crate::disk::DiskFile;

/// A record that shows that bytes before it were durable.
pub(super) struct Proof {
    /// The greatest index of an entry among the records that are left; 0 without one.
    pub(super) last_index: u64,
}

/// Looks for a record behind `offset` that was written when what is at `offset` was durable.
pub(super) fn proof_of_damage(segment: &[u8], offset: usize, seed: u32) -> Option<Proof> {
    let end = offset + torn_bytes(segment, offset);
    let mut is_proven = false;
    let mut last_index = 0;
    for place in (offset..end).step_by(ALIGNMENT) {
        if let Parsed::Valid(found) = record::parse(segment, place, seed) {
            is_proven |= found.synced > offset;
            if let Record::Entry { at, .. } = found.record {
                last_index = last_index.max(at.index);
            }
        }
    }
    is_proven.then_some(Proof { last_index })
}

/// How many bytes from `offset` on hold something other than zeroes, up to the last that does.
pub(super) fn torn_bytes(segment: &[u8], offset: usize) -> usize {
    let rest = segment.get(offset..).unwrap_or_default();
    rest.iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1)
}

pub(super) fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// Zeroes a torn tail. It is not durable before the file is synced, and nothing may be written before that: what is left of
/// the tail could become whole with it.
pub(super) fn cut<F: DiskFile>(file: &mut F, offset: usize, bytes: usize) -> std::io::Result<()> {
    static BLOCK: [u8; 64 * 1024] = [0; 64 * 1024];
    let mut done = 0;
    while done < bytes {
        let count = (bytes - done).min(BLOCK.len());
        file.write_at((offset + done) as u64, &BLOCK[..count])?;
        done += count;
    }
    Ok(())
}
