//! Snapshot files.

use std::io::{self, Read, Write};
use std::sync::Arc;

use crate::disk::Disk;
use crate::error::JournalError;
use crate::types::SnapshotMeta;

/// The snapshot files of one replica. Clones share the folder.
pub struct Snapshots<D: Disk> {
    disk: Arc<D>,
}

impl<D: Disk> Clone for Snapshots<D> {
    fn clone(&self) -> Self {
        Self {
            disk: Arc::clone(&self.disk),
        }
    }
}

impl<D: Disk> Snapshots<D> {
    /// Removes unfinished ones.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub fn open(disk: Arc<D>) -> Result<Self, JournalError> {
        Ok(Self { disk })
    }

    /// The newest; its whole file is verified.
    ///
    /// # Errors
    /// If it is damaged, with file and offset.
    pub fn newest(&self) -> Result<Option<SnapshotMeta>, JournalError> {
        todo!()
    }

    /// Starts a snapshot file; it appears when it is finished.
    ///
    /// # Errors
    /// If the disk is full or fails.
    pub fn writer(&self, meta: SnapshotMeta) -> Result<SnapshotWriter<D>, JournalError> {
        let _ = (&self.disk, meta);
        todo!()
    }

    /// Opens a snapshot's payload; checksums are verified on the way.
    ///
    /// # Errors
    /// If there is none of that index and term, or its header is damaged.
    pub fn reader(&self, meta: &SnapshotMeta) -> Result<SnapshotReader<D>, JournalError> {
        let _ = meta;
        todo!()
    }

    /// Removes all but the newest `keep`.
    ///
    /// # Errors
    /// If the folder can't be read or a file can't be removed.
    pub fn prune(&self, keep: usize) -> Result<(), JournalError> {
        let _ = keep;
        todo!()
    }
}

/// A snapshot file being written. Dropped before [`finish`](Self::finish), it is gone.
pub struct SnapshotWriter<D: Disk> {
    _disk: Arc<D>,
}

impl<D: Disk> SnapshotWriter<D> {
    /// Puts the file in its place, atomically and durably.
    ///
    /// # Errors
    /// If the disk is full or fails.
    pub fn finish(self) -> Result<(), JournalError> {
        todo!()
    }
}

impl<D: Disk> Write for SnapshotWriter<D> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = bytes;
        todo!()
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The payload of a snapshot file. A damaged byte is an error of kind `InvalidData` that carries a [`JournalError`]; the
/// end is reported only after the trailer was verified.
pub struct SnapshotReader<D: Disk> {
    _disk: Arc<D>,
}

impl<D: Disk> SnapshotReader<D> {
    /// What the file says of itself.
    #[must_use]
    pub fn meta(&self) -> &SnapshotMeta {
        todo!()
    }

    /// Bytes of payload.
    #[must_use]
    pub fn payload_bytes(&self) -> u64 {
        todo!()
    }
}

impl<D: Disk> Read for SnapshotReader<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let _ = buffer;
        todo!()
    }
}
