//! The few operations on files that durability rests on, as a trait: real, or simulated with faults.

mod real;
mod simulated;

use std::io;

pub use real::{RealDisk, RealFile};
pub use simulated::{SimulatedDisk, SimulatedFile};

/// One flat folder of files.
///
/// Names that were added, replaced or removed are durable after [`sync_folder`](Self::sync_folder) only, bytes after
/// [`DiskFile::sync`]. A full disk is reported as `ENOSPC` or `EDQUOT`.
pub trait Disk: Send + Sync + 'static {
    /// An open file.
    type File: DiskFile;

    /// Names of all files, in no particular order.
    ///
    /// # Errors
    /// If the folder can't be read.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// If there is none of that name, or it can't be opened.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// Creates a file of `zeroed_bytes` bytes that read as zero and have their place on the disk, so that writing them
    /// later needs no more room.
    ///
    /// # Errors
    /// If the name is taken, or there is no room; no file is left then.
    fn create(&self, name: &str, zeroed_bytes: u64) -> io::Result<Self::File>;

    /// Renames a file; one that has the name `to` is replaced, atomically.
    ///
    /// # Errors
    /// If there is no file `from`, or it can't be renamed.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file; who has it open can still read it.
    ///
    /// # Errors
    /// If there is none of that name, or it can't be removed.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes the names durable.
    ///
    /// # Errors
    /// If the disk fails; what is durable is unknown then, and trying again tells nothing.
    fn sync_folder(&self) -> io::Result<()>;

    /// Bytes that may still be allocated.
    ///
    /// # Errors
    /// If the file system doesn't say.
    fn free_bytes(&self) -> io::Result<u64>;

    /// A hint that a file of `zeroed_bytes` will be created before long, so that it can be prepared beside other work.
    fn prepare(&self, zeroed_bytes: u64) {
        let _ = zeroed_bytes;
    }
}

/// An open file of a [`Disk`].
pub trait DiskFile: Send + 'static {
    /// Reads at most `buffer.len()` bytes from `offset`; fewer only at the end of the file.
    ///
    /// # Errors
    /// If the disk fails.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`; the file grows where they reach beyond its end.
    ///
    /// # Errors
    /// If the disk fails or is full; any part may have been written.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Length in bytes.
    ///
    /// # Errors
    /// If the disk fails.
    fn len(&self) -> io::Result<u64>;

    /// Whether it has no bytes.
    ///
    /// # Errors
    /// If the disk fails.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts or extends to `bytes`.
    ///
    /// # Errors
    /// If the disk fails or is full.
    fn set_len(&mut self, bytes: u64) -> io::Result<()>;

    /// Makes everything written so far durable (`fdatasync`).
    ///
    /// # Errors
    /// If the disk fails. Which bytes are durable is unknown then, and a second attempt may report success for bytes that
    /// are lost: whoever promised something on them must stop.
    fn sync(&mut self) -> io::Result<()>;
}
