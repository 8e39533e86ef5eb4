//! How much room log and snapshots take, and when a replica should refuse writes.

use std::fmt;

use crate::error::JournalError;
use crate::journal;

/// Sizes of the log's files. Each can differ from one start to the next: segments say of themselves how long they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalLimits {
    /// Length of a segment, allocated in advance. Long enough that its creation is rare, short enough that compaction,
    /// which removes whole segments, frees room soon. From [`Self::LEAST_SEGMENT_BYTES`] to [`Self::MOST_SEGMENT_BYTES`].
    pub segment_bytes: u64,
    /// Length of the segment that is kept in reserve for when the disk is full, so that Raft itself can still write (votes,
    /// terms, its own entries). 0 for none.
    pub reserve_bytes: u64,
    /// New writes of clients should be refused while fewer bytes than this are free.
    pub refuse_below_bytes: u64,
}

impl JournalLimits {
    /// A header and a few records.
    pub const LEAST_SEGMENT_BYTES: u64 = 512;
    /// Offsets in a segment are stored in 32 bits, and a segment is read whole at the start.
    pub const MOST_SEGMENT_BYTES: u64 = 1 << 30;

    /// The most data an entry can have: it has to fit into one segment, the reserve as well.
    #[must_use]
    pub fn max_entry_bytes(&self) -> u64 {
        let least = match self.reserve_bytes {
            0 => self.segment_bytes,
            reserve => self.segment_bytes.min(reserve),
        };
        journal::room_for_entry(least)
    }

    /// Whether these sizes make sense.
    pub(crate) fn check(&self) -> Result<(), JournalError> {
        let (least, most) = (Self::LEAST_SEGMENT_BYTES, Self::MOST_SEGMENT_BYTES);
        let fits = |bytes: u64| (least..=most).contains(&bytes);
        if fits(self.segment_bytes) && (self.reserve_bytes == 0 || fits(self.reserve_bytes)) {
            return Ok(());
        }
        let reason = format!(
            "a segment has {least} to {most} bytes and the reserve as many or none, not {} and {}",
            self.segment_bytes, self.reserve_bytes
        );
        Err(JournalError::misuse("the log", reason))
    }
}

impl Default for JournalLimits {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            reserve_bytes: 16 << 20,
            // The next segment, its successor, and a snapshot.
            refuse_below_bytes: 256 << 20,
        }
    }
}

/// How much room there is. Displayed it is the reason for which writes are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes that may still be allocated.
    pub free_bytes: u64,
    /// Fewer free bytes than this are too few.
    pub refuse_below_bytes: u64,
    /// Bytes that are held in reserve now.
    pub reserve_bytes: u64,
    /// Bytes that should be held in reserve.
    pub reserve_wanted_bytes: u64,
}

impl Room {
    /// Whether new writes of clients can be accepted.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        self.free_bytes >= self.refuse_below_bytes
            && self.reserve_bytes >= self.reserve_wanted_bytes
    }
}

impl fmt::Display for Room {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} bytes are free on the disk of the data folder, writes are refused below {}",
            self.free_bytes, self.refuse_below_bytes
        )?;
        if self.reserve_bytes < self.reserve_wanted_bytes {
            write!(
                out,
                "; of the reserve of {} bytes {} are left",
                self.reserve_wanted_bytes, self.reserve_bytes
            )?;
        }
        Ok(())
    }
}
