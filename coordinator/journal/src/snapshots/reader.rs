//! Reads a snapshot file and verifies it on the way.

use std::io::{self, Read};

use super::format::{self, CHUNK_HEAD_BYTES, HEAD_BYTES, MOST_CHUNK_BYTES, TRAILER_BYTES, Trailer};
use crate::bytes::{to_usize, u32_at};
use crate::disk::{Disk, DiskFile};
use crate::error::JournalError;
use crate::types::{Position, SnapshotMeta};

/// The payload of a snapshot file. A damaged byte is an error of kind `InvalidData` that carries a [`JournalError`]; the
/// end is reported only after all was verified.
pub struct SnapshotReader<D: Disk> {
    file: D::File,
    name: String,
    meta: SnapshotMeta,
    seed: u32,
    trailer: Trailer,
    /// The chunk that is being handed out, and how much of it was.
    chunk: Vec<u8>,
    taken: usize,
    /// Where the next chunk begins.
    offset: u64,
    read: Trailer,
}

impl<D: Disk> SnapshotReader<D> {
    pub(super) fn open(disk: &D, position: Position) -> Result<Self, JournalError> {
        let name = super::name(position);
        let failed = |source| JournalError::io("read", &name, source);
        let file = disk.open(&name).map_err(failed)?;
        let length = file.len().map_err(failed)?;
        let least = (HEAD_BYTES + TRAILER_BYTES) as u64;
        let too_short = |expected_bytes| JournalError::WrongLength {
            file: name.clone(),
            found_bytes: length,
            expected_bytes,
        };
        if length < least {
            return Err(too_short(least));
        }
        let mut header = vec![0; HEAD_BYTES];
        read_exactly(&file, 0, &mut header).map_err(failed)?;
        let header_bytes = format::header_bytes(&name, &header)?;
        if length < (header_bytes + TRAILER_BYTES) as u64 {
            return Err(too_short((header_bytes + TRAILER_BYTES) as u64));
        }
        header.resize(header_bytes, 0);
        read_exactly(&file, 0, &mut header).map_err(failed)?;
        let (meta, seed) = format::meta(&name, &header)?;
        let end = length - TRAILER_BYTES as u64;
        let mut trailer = [0; TRAILER_BYTES];
        read_exactly(&file, end, &mut trailer).map_err(failed)?;
        let Some(trailer) = Trailer::decode(&trailer, seed) else {
            let what = "it does not end with a trailer: it was cut, or its end is damaged";
            return Err(JournalError::corrupt(&name, end, what));
        };
        if trailer.file_bytes(header_bytes) != length {
            return Err(too_short(trailer.file_bytes(header_bytes)));
        }
        Ok(Self {
            file,
            name,
            meta,
            seed,
            trailer,
            chunk: Vec::new(),
            taken: 0,
            offset: header_bytes as u64,
            read: Trailer {
                payload_bytes: 0,
                chunks: 0,
            },
        })
    }

    /// What the file says of itself.
    #[must_use]
    pub fn meta(&self) -> &SnapshotMeta {
        &self.meta
    }

    /// Bytes of payload in all.
    #[must_use]
    pub fn payload_bytes(&self) -> u64 {
        self.trailer.payload_bytes
    }

    /// Reads to the end.
    pub(super) fn verified(mut self) -> Result<SnapshotMeta, JournalError> {
        while self.next_chunk()? {}
        Ok(self.meta)
    }

    /// Reads the next chunk; false at the end.
    fn next_chunk(&mut self) -> Result<bool, JournalError> {
        self.chunk.clear();
        self.taken = 0;
        if self.read.chunks == self.trailer.chunks {
            return if self.read == self.trailer {
                Ok(false)
            } else {
                Err(self.damaged("its chunks hold another number of bytes than its trailer says"))
            };
        }
        let failed = |source| JournalError::io("read", &self.name, source);
        let mut head = [0; CHUNK_HEAD_BYTES];
        read_exactly(&self.file, self.offset, &mut head).map_err(failed)?;
        let length = to_usize(u64::from(u32_at(&head, 0)));
        let left = self.trailer.payload_bytes - self.read.payload_bytes;
        if length == 0 || length > MOST_CHUNK_BYTES || length as u64 > left {
            return Err(self.damaged("the length of a chunk is wrong"));
        }
        self.chunk.resize(length, 0);
        let begin = self.offset + CHUNK_HEAD_BYTES as u64;
        read_exactly(&self.file, begin, &mut self.chunk).map_err(failed)?;
        let checksum = format::chunk_checksum(self.seed, self.read.chunks, &self.chunk);
        if checksum != u32_at(&head, 4) {
            self.chunk.clear();
            return Err(self.damaged("the checksum of a chunk is wrong"));
        }
        self.offset = begin + length as u64;
        self.read.payload_bytes += length as u64;
        self.read.chunks += 1;
        Ok(true)
    }

    fn damaged(&self, what: &str) -> JournalError {
        JournalError::corrupt(&self.name, self.offset, what)
    }
}

impl<D: Disk> Read for SnapshotReader<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.taken == self.chunk.len() {
            let more = self
                .next_chunk()
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            if !more {
                return Ok(0);
            }
        }
        let count = buffer.len().min(self.chunk.len() - self.taken);
        buffer[..count].copy_from_slice(&self.chunk[self.taken..self.taken + count]);
        self.taken += count;
        Ok(count)
    }
}

fn read_exactly<F: DiskFile>(file: &F, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    if file.read_at(offset, buffer)? < buffer.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}
