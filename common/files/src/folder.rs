//! Folders: opened for their file's operations, created durably, probed for being writable.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{CREATE_FOLDER, FileError};
use crate::unfinished::Unfinished;

/// One block of the usual file systems: enough that a full disk refuses it.
const PROBE_BYTES: usize = 4096;

/// An open folder; operations relative to it can't be led astray by a rename of an ancestor.
pub(crate) struct Folder {
    handle: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// The folder that holds `path`.
    pub(crate) fn of(path: &Path) -> Result<Self, FileError> {
        Self::open(parent_of(path))
    }

    fn open(path: &Path) -> Result<Self, FileError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(CWD, path, flags, Mode::empty())
            .map_err(|errno| FileError::of_folder("open folder", path, errno))?;
        Ok(Self {
            handle,
            path: path.to_path_buf(),
        })
    }

    /// Whether the last part of `path` is taken in this folder, by a file of whatever kind.
    pub(crate) fn has(&self, path: &Path) -> Result<bool, FileError> {
        self.has_name(file_name(path)?)
            .map_err(|errno| FileError::new("look for", path, errno))
    }

    /// Whether the folder has an entry of this name.
    pub(crate) fn has_name(&self, name: &OsStr) -> Result<bool, Errno> {
        match rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Makes names that were added to or removed from this folder durable.
    pub(crate) fn sync(&self) -> Result<(), FileError> {
        match rustix::fs::fsync(&self.handle) {
            // Some network and FUSE file systems refuse fsync on folders; there is nothing more that could be done.
            Ok(()) | Err(Errno::INVAL | Errno::NOTSUP) => Ok(()),
            Err(errno) => Err(FileError::new("sync folder", &self.path, errno)),
        }
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

/// The folder that a path lies in.
pub(crate) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

/// The last part of a path.
pub(crate) fn file_name(path: &Path) -> Result<&OsStr, FileError> {
    path.file_name()
        .ok_or_else(|| FileError::new("create", path, io::Error::from(Errno::ISDIR)))
}

/// Creates `folder` and what is missing of its ancestors, durably; being there already is fine.
///
/// # Errors
/// If one can't be created, or if something that is no folder has its name.
pub fn ensure_folder(folder: &Path) -> Result<(), FileError> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        ensure_folder(parent)?;
    }
    match std::fs::create_dir(folder) {
        Ok(()) => Folder::of(folder)?.sync(),
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(FileError::new(CREATE_FOLDER, folder, error)),
    }
}

/// Shows that files can be written in `folder`, which is created if it's missing, by writing 4 KiB to a file that never
/// gets a name.
///
/// # Errors
/// If the folder can't be created or written to, or if its disk is full.
pub fn probe_writable(folder: &Path) -> Result<(), FileError> {
    ensure_folder(folder)?;
    let opened = Folder::open(folder)?;
    let mut probe =
        Unfinished::in_folder(&opened, &folder.join("probe")).map_err(|error| error.at(folder))?;
    probe
        .file_mut()
        .write_all(&[0; PROBE_BYTES])
        .and_then(|()| probe.file().sync_all())
        .map_err(|source| FileError::new("write into folder", folder, source))
}
