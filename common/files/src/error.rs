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
}

impl FileError {
    /// An error of `operation` on `path`; when the disk is full the free bytes are looked up at once.
    #[must_use]
    pub fn new(operation: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        let source = source.into();
        let full = Errno::from_io_error(&source)
            .is_some_and(|errno| errno == Errno::NOSPC || errno == Errno::DQUOT);
        let free_bytes = if full { free_bytes(path) } else { None };
        Self {
            operation,
            path: path.to_path_buf(),
            source,
            free_bytes,
        }
    }

    /// What the user can do about it, where that is known.
    fn advice(&self) -> String {
        let kind = self.source.kind();
        if let Some(free) = self.free_bytes {
            format!(
                "; {free} bytes are free on its file system: make room or choose another folder"
            )
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
