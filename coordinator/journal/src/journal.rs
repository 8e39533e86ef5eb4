//! The write-ahead log.

use std::io;
use std::sync::Arc;

use crate::disk::Disk;
use crate::error::JournalError;
use crate::limits::{JournalLimits, Room};
use crate::types::{Entry, HardState, Identity, Position, Recovered};

/// The write-ahead log of one replica.
pub struct Journal<D: Disk> {
    disk: Arc<D>,
}

impl<D: Disk> Journal<D> {
    /// Opens the log and reads it all.
    ///
    /// # Errors
    /// If anything that was durable is damaged or missing.
    pub fn open(disk: Arc<D>, limits: JournalLimits) -> Result<(Self, Recovered), JournalError> {
        let _ = limits;
        Ok((Self { disk }, todo!()))
    }

    /// Writes down whose log this is.
    ///
    /// # Errors
    /// If it has an owner already, or the disk is full or fails.
    pub fn initialise(&mut self, identity: Identity) -> Result<(), JournalError> {
        let _ = identity;
        todo!()
    }

    /// Appends a group with one write, and syncs at most once. An entry with an index that exists cuts everything from there.
    ///
    /// # Errors
    /// [`JournalError::is_full`] and misuse change nothing; everything else is fatal.
    pub fn append(
        &mut self,
        hard_state: Option<HardState>,
        entries: &[Entry],
        sync: bool,
    ) -> Result<(), JournalError> {
        let _ = (hard_state, entries, sync);
        todo!()
    }

    /// An installed snapshot takes the place of the log up to `end`, which is its last entry; call it after
    /// [`SnapshotWriter::finish`](crate::SnapshotWriter::finish). Entries after `end` stay if they follow from it
    /// (the log has the same term there) and go otherwise. Durable when it returns.
    ///
    /// # Errors
    /// If there is no such snapshot, or the disk is full or fails.
    pub fn restart_after(&mut self, end: Position) -> Result<(), JournalError> {
        let _ = end;
        todo!()
    }

    /// The log begins with `keep_from` from now on; segments with nothing else are removed. A snapshot must reach to
    /// `keep_from - 1`. Nothing happens where no segment could be removed.
    ///
    /// # Errors
    /// If there is no such snapshot, or the disk is full or fails.
    pub fn compact(&mut self, keep_from: u64) -> Result<(), JournalError> {
        let _ = keep_from;
        todo!()
    }

    /// Bytes written into live segments.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        todo!()
    }

    /// How much room there is; fills the reserve up when there is enough again.
    ///
    /// # Errors
    /// If the file system doesn't say.
    pub fn room(&mut self) -> io::Result<Room> {
        let _ = &self.disk;
        todo!()
    }
}
