//! Writes a snapshot file.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::format::{self, CHUNK_BYTES, Trailer};
use crate::bytes::to_u32;
use crate::disk::{Disk, DiskFile};
use crate::error::{self, JournalError};
use crate::types::SnapshotMeta;

/// Bytes between two syncs: so many a sync of the log beside it has to wait for at most.
const SYNC_EVERY_BYTES: u64 = 4 << 20;

/// A snapshot file being written: whatever is written to it is the payload. Dropped before [`finish`](Self::finish), it is
/// gone; so is one of which a write failed.
pub struct SnapshotWriter<D: Disk> {
    disk: Arc<D>,
    file: D::File,
    temporary: String,
    name: String,
    seed: u32,
    /// A chunk that is not full yet.
    chunk: Vec<u8>,
    offset: u64,
    unsynced_bytes: u64,
    written: Trailer,
    state: State,
}

/// How far a file has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// A write failed, so bytes are missing in it.
    Broken,
    /// A sync failed, so nobody knows which bytes are durable, whatever later syncs say.
    Unsynced,
    InPlace,
}

impl<D: Disk> SnapshotWriter<D> {
    pub(super) fn begin(
        disk: Arc<D>,
        begun: &AtomicU64,
        meta: &SnapshotMeta,
    ) -> Result<Self, JournalError> {
        let name = super::name(meta.position());
        let Some((header, seed)) = format::header(meta) else {
            return Err(JournalError::misuse(&name, "it has too many members"));
        };
        let number = begun.fetch_add(1, Ordering::Relaxed);
        let temporary = super::unfinished(meta.position(), number);
        let file = disk
            .create(&temporary, 0)
            .map_err(|source| failed(&*disk, "create", &name, 0, source))?;
        let mut writer = Self {
            disk,
            file,
            temporary,
            name,
            seed,
            chunk: Vec::with_capacity(CHUNK_BYTES),
            offset: 0,
            unsynced_bytes: 0,
            written: Trailer {
                payload_bytes: 0,
                chunks: 0,
            },
            state: State::Open,
        };
        writer
            .put(&header)
            .map_err(|source| writer.failed("write", header.len(), source))?;
        Ok(writer)
    }

    /// Puts the file in its place, atomically and durably. One of the same position is replaced.
    ///
    /// # Errors
    /// If the disk is full or fails; the file is gone then. A failed sync is fatal.
    pub fn finish(mut self) -> Result<(), JournalError> {
        let left = self.chunk.len();
        self.check_whole()?;
        self.put_chunk()
            .and_then(|()| self.put(&self.written.encode(self.seed)))
            .map_err(|source| self.failed("write", left + format::TRAILER_BYTES, source))?;
        self.file
            .sync()
            .and_then(|()| self.disk.rename(&self.temporary, &self.name))
            .inspect(|()| self.state = State::InPlace)
            .and_then(|()| self.disk.sync_folder())
            .map_err(|source| JournalError::fatal("put in place", &self.name, source))
    }

    /// Bytes of payload so far.
    #[must_use]
    pub fn payload_bytes(&self) -> u64 {
        self.written.payload_bytes + self.chunk.len() as u64
    }

    /// No later success makes up for an earlier failure.
    fn check_whole(&self) -> Result<(), JournalError> {
        let lost = || io::Error::other("an earlier write of it failed");
        match self.state {
            State::Open | State::InPlace => Ok(()),
            State::Broken => Err(JournalError::io("finish", &self.name, lost())),
            State::Unsynced => Err(JournalError::fatal("sync", &self.name, lost())),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file
            .write_at(self.offset, bytes)
            .inspect_err(|_| self.state = State::Broken)?;
        self.offset += bytes.len() as u64;
        self.unsynced_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Writes the chunk, unless it is empty.
    fn put_chunk(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::take(&mut self.chunk);
        let checksum = format::chunk_checksum(self.seed, self.written.chunks, &chunk);
        let mut bytes = Vec::with_capacity(format::CHUNK_HEAD_BYTES + chunk.len());
        bytes.extend_from_slice(&to_u32(chunk.len()).to_le_bytes());
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes.extend_from_slice(&chunk);
        self.put(&bytes)?;
        self.written.payload_bytes += chunk.len() as u64;
        self.written.chunks += 1;
        self.chunk = chunk;
        self.chunk.clear();
        if self.unsynced_bytes >= SYNC_EVERY_BYTES {
            self.file
                .sync()
                .inspect_err(|_| self.state = State::Unsynced)?;
            self.unsynced_bytes = 0;
        }
        Ok(())
    }

    fn failed(&self, operation: &'static str, bytes: usize, source: io::Error) -> JournalError {
        failed(&*self.disk, operation, &self.name, bytes, source)
    }
}

/// A snapshot that can't be written harms nothing: it has no name yet.
fn failed<D: Disk>(
    disk: &D,
    operation: &'static str,
    name: &str,
    bytes: usize,
    source: io::Error,
) -> JournalError {
    if error::is_full(&source) {
        return JournalError::Full {
            file: name.to_owned(),
            needed_bytes: bytes as u64,
            free_bytes: disk.free_bytes().unwrap_or(0),
        };
    }
    JournalError::io(operation, name, source)
}

impl<D: Disk> Write for SnapshotWriter<D> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check_whole().map_err(io::Error::other)?;
        if self.chunk.len() == CHUNK_BYTES {
            self.put_chunk()?;
        }
        let count = bytes.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    /// Nothing is durable, nor seen by anybody, before [`finish`](Self::finish).
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<D: Disk> Drop for SnapshotWriter<D> {
    fn drop(&mut self) {
        if self.state != State::InPlace {
            // What can't be removed now is removed at the next start.
            let _ = self.disk.remove(&self.temporary);
        }
    }
}
