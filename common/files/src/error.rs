//! One error for every operation on files: what, where, why, and how much room is left.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// An operation on a file or folder that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}: {source}{}", path.display(), self.advice())]
pub struct FileError {
    /// A verb: "create", "write", "replace".
    pub operation: &'static str,
    /// What it was done to.
    pub path: PathBuf,
    /// Why it failed.
    pub source: io::Error,
    /// Bytes that are free on the path's file system, looked up when it was full.
    pub free_bytes: Option<u64>,
    /// The first folder of the path that is not there, looked up when something was missing.
    pub missing_folder: Option<PathBuf>,
}

impl FileError {
    /// An error of `operation` on `path`; how much room is left on a full disk, and which folder is missing, is looked up
    /// at once.
    #[must_use]
    pub fn new(operation: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        let source = source.into();
        let (mut free, mut missing) = (None, None);
        match Errno::from_io_error(&source) {
            Some(Errno::NOSPC | Errno::DQUOT) => free = free_bytes(path),
            Some(Errno::NOENT) => missing = missing_folder(path),
            Some(_) | None => {}
        }
        Self {
            operation,
            path: path.to_path_buf(),
            source,
            free_bytes: free,
            missing_folder: missing,
        }
    }

    /// The same of an operation on a folder, which may be missing itself.
    pub(crate) fn of_folder(
        operation: &'static str,
        folder: &Path,
        source: impl Into<io::Error>,
    ) -> Self {
        let error = Self::new(operation, folder, source);
        let absent = error.source.kind() == io::ErrorKind::NotFound && !folder.exists();
        Self {
            missing_folder: error
                .missing_folder
                .or_else(|| absent.then(|| folder.to_path_buf())),
            ..error
        }
    }

    /// What the user can do about it, where that is known.
    fn advice(&self) -> String {
        let kind = self.source.kind();
        if let Some(free) = self.free_bytes {
            format!(
                "; {free} bytes are free on its file system: make room or choose another folder"
            )
        } else if let Some(folder) = &self.missing_folder {
            format!(
                "; there is no folder {}: create it, or correct the path",
                folder.display()
            )
        } else if Errno::from_io_error(&self.source) == Some(Errno::NXIO) {
            "; a pipe can be written to once someone reads from it, a socket never".to_owned()
        } else if kind == io::ErrorKind::ReadOnlyFilesystem {
            "; its file system is read-only: choose another folder".to_owned()
        } else if kind == io::ErrorKind::PermissionDenied {
            "; this user may not do that: choose another folder or change its permissions"
                .to_owned()
        } else {
            String::new()
        }
    }
}

/// The outermost ancestor of `path` that is not there.
fn missing_folder(path: &Path) -> Option<PathBuf> {
    path.ancestors()
        .skip(1)
        .filter(|folder| !folder.as_os_str().is_empty() && !folder.exists())
        .last()
        .map(Path::to_path_buf)
}

/// Bytes an unprivileged process may still use on the file system of `path` or of its nearest existing ancestor.
fn free_bytes(path: &Path) -> Option<u64> {
    path.ancestors().find_map(|place| {
        let place = if place.as_os_str().is_empty() {
            Path::new(".")
        } else {
            place
        };
        let stats = rustix::fs::statvfs(place).ok()?;
        Some(stats.f_bavail.saturating_mul(stats.f_frsize))
    })
}
