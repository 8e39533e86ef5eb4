//! A folder of a file system.

use std::io;
use std::path::Path;

use super::{Disk, DiskFile};
use crate::error::JournalError;

/// A folder that this process alone uses, as long as the value lives.
pub struct RealDisk {}

impl RealDisk {
    /// Opens the folder, which is created if it's missing, and locks it.
    ///
    /// # Errors
    /// [`JournalError::Locked`] names the process that has it; otherwise if the folder can't be created or opened.
    pub fn open(folder: &Path) -> Result<Self, JournalError> {
        let _ = folder;
        todo!()
    }
}

impl Disk for RealDisk {
    type File = RealFile;
    fn list(&self) -> io::Result<Vec<String>> {
        todo!()
    }
    fn open(&self, _name: &str) -> io::Result<RealFile> {
        todo!()
    }
    fn create(&self, _name: &str, _zeroed_bytes: u64) -> io::Result<RealFile> {
        todo!()
    }
    fn rename(&self, _from: &str, _to: &str) -> io::Result<()> {
        todo!()
    }
    fn remove(&self, _name: &str) -> io::Result<()> {
        todo!()
    }
    fn sync_folder(&self) -> io::Result<()> {
        todo!()
    }
    fn free_bytes(&self) -> io::Result<u64> {
        todo!()
    }
}

/// An open file of a [`RealDisk`].
pub struct RealFile {}

impl DiskFile for RealFile {
    fn read_at(&self, _offset: u64, _buffer: &mut [u8]) -> io::Result<usize> {
        todo!()
    }
    fn write_at(&mut self, _offset: u64, _bytes: &[u8]) -> io::Result<()> {
        todo!()
    }
    fn len(&self) -> io::Result<u64> {
        todo!()
    }
    fn set_len(&mut self, _bytes: u64) -> io::Result<()> {
        todo!()
    }
    fn sync(&mut self) -> io::Result<()> {
        todo!()
    }
}
