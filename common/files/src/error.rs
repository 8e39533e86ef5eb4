//! One error for every operation on files: what, where, why, and how much room is left.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// The operation that makes a folder.
pub(crate) const CREATE_FOLDER: &str = "create folder";

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
    circumstance: Circumstance,
}

/// What was looked up when it failed.
#[derive(Debug)]
enum Circumstance {
    /// Nothing that would help.
    None,
    /// Bytes that are free on the path's file system, which was full.
    Free(u64),
    /// The first folder of the path that is not there. Boxed, as errors that hold this one must not become larger.
    Missing(Box<Path>),
}

impl FileError {
    /// An error of `operation` on `path`; how much room is left on a full disk, and which folder is missing, is looked up
    /// at once.
    #[must_use]
    pub fn new(operation: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        let source = source.into();
        let circumstance = match Errno::from_io_error(&source) {
            Some(Errno::NOSPC | Errno::DQUOT) => free_bytes(path).map(Circumstance::Free),
            Some(Errno::NOENT) => {
                missing_folder(path).map(|folder| Circumstance::Missing(folder.into()))
            }
            Some(_) | None => None,
        };
        Self {
            operation,
            path: path.to_path_buf(),
            source,
            circumstance: circumstance.unwrap_or(Circumstance::None),
        }
    }

    /// The same, told of another path.
    pub(crate) fn at(self, path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            ..self
        }
    }

    /// Bytes that are free on the path's file system, if that was full.
    #[must_use]
    pub fn free_bytes(&self) -> Option<u64> {
        match self.circumstance {
            Circumstance::Free(bytes) => Some(bytes),
            Circumstance::None | Circumstance::Missing(_) => None,
        }
    }

    /// The first folder of the path that is not there, if something was missing.
    #[must_use]
    pub fn missing_folder(&self) -> Option<&Path> {
        match &self.circumstance {
            Circumstance::Missing(folder) => Some(folder),
            Circumstance::None | Circumstance::Free(_) => None,
        }
    }

    /// The same of an operation on a folder, which may be missing itself.
    pub(crate) fn of_folder(
        operation: &'static str,
        folder: &Path,
        source: impl Into<io::Error>,
    ) -> Self {
        let mut error = Self::new(operation, folder, source);
        let absent = error.source.kind() == io::ErrorKind::NotFound && !folder.exists();
        if absent && error.missing_folder().is_none() {
            error.circumstance = Circumstance::Missing(folder.into());
        }
        error
    }

    /// What the user can do about it, where that is known.
    fn advice(&self) -> String {
        let kind = self.source.kind();
        if let Some(free) = self.free_bytes() {
            format!(
                "; {free} bytes are free on its file system: make room or choose another folder"
            )
        } else if let Some(folder) = self.missing_folder() {
            format!(
                "; there is no folder {}: create it, or correct the path",
                folder.display()
            )
        } else if self.operation == CREATE_FOLDER && kind == io::ErrorKind::NotFound {
            // What holds it is there: /proc and its kin take none.
            "; no folder can be made there: choose another place".to_owned()
        } else if Errno::from_io_error(&self.source) == Some(Errno::NXIO) {
            "; a pipe can be written to once someone reads from it".to_owned()
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
