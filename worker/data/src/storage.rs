//! The bytes of a file: mapped where possible, in memory where a `.gz` can't be decompressed beside itself.

mod gzip;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

use mmap_io::MemoryMappedFile;

use crate::error::{DataError, FileProblem};
use crate::idx::Content;

pub use gzip::{MAX_DECOMPRESSED_BYTES, MAX_IN_MEMORY_BYTES};

/// A file and where the spec names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NamedFile<'a> {
    pub(crate) key: &'static str,
    pub(crate) path: &'a Path,
}

/// All bytes of a file, readable from every thread without lock or copy.
pub(crate) enum FileBytes {
    Mapped(MemoryMappedFile),
    InMemory(Vec<u8>),
}

impl FileBytes {
    pub(crate) fn len(&self) -> u64 {
        match self {
            FileBytes::Mapped(map) => map.len(),
            FileBytes::InMemory(bytes) => bytes.len() as u64,
        }
    }

    /// `length` bytes from `start`.
    pub(crate) fn slice(&self, start: u64, length: u64) -> Result<&[u8], FileProblem> {
        match self {
            FileBytes::Mapped(map) => map.as_slice_bytes(start, length).map_err(FileProblem::Map),
            FileBytes::InMemory(bytes) => {
                let range = start as usize..start.saturating_add(length) as usize;
                bytes.get(range).ok_or(FileProblem::Truncated {
                    expected: start.saturating_add(length),
                    actual: bytes.len() as u64,
                })
            }
        }
    }
}

/// Opens a file; a `.gz` by way of its decompressed sibling.
pub(crate) fn open_bytes(file: &NamedFile<'_>, content: Content) -> Result<FileBytes, DataError> {
    check_regular(file.path).map_err(|problem| problem.of(file))?;
    if file
        .path
        .extension()
        .is_some_and(|extension| extension == "gz")
    {
        gzip::open_gz(file, content)
    } else {
        map(file.path).map_err(|problem| problem.of(file))
    }
}

/// Maps a file that is nothing but itself: no `.gz`.
pub(crate) fn map_plain(path: &Path) -> Result<FileBytes, FileProblem> {
    check_regular(path)?;
    map(path)
}

/// Opening a pipe would block and a folder has no bytes, so that both are refused by name.
fn check_regular(path: &Path) -> Result<(), FileProblem> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(_) => Err(FileProblem::NotAFile),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(FileProblem::Missing),
        Err(source) => Err(FileProblem::Io {
            operation: "open",
            source,
        }),
    }
}

fn map(path: &Path) -> Result<FileBytes, FileProblem> {
    MemoryMappedFile::open_ro(path)
        .map(FileBytes::Mapped)
        .map_err(FileProblem::Map)
}
