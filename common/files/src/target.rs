//! Where bytes for a path have to go: links, devices and pipes are not replaced.

use std::fs::{File, metadata, read_link};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::error::FileError;
use crate::folder::{parent_of, probe_writable};

/// As many links in a row as Linux follows (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// What a path that is to be written names.
pub(crate) enum Target {
    /// A regular file, or nothing yet, at this path, whose last part is no link.
    File(PathBuf),
    /// A device, a pipe or a socket.
    Stream,
}

impl Target {
    /// What `path` names.
    pub(crate) fn of(path: &Path) -> Result<Self, FileError> {
        match metadata(path) {
            Ok(found) if !found.is_file() && !found.is_dir() => Ok(Self::Stream),
            Ok(_) => Ok(Self::File(followed(path)?)),
            // A link may lead to where nothing is yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Self::File(followed(path)?))
            }
            Err(error) => Err(FileError::new("look for", path, error)),
        }
    }
}

fn followed(path: &Path) -> Result<PathBuf, FileError> {
    let mut place = path.to_path_buf();
    for _ in 0..=MAX_LINKS {
        match read_link(&place) {
            Ok(target) => place = parent_of(&place).join(target),
            // No link, or nothing at all.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::NotFound
                ) =>
            {
                return Ok(place);
            }
            Err(error) => return Err(FileError::new("follow", path, error)),
        }
    }
    Err(FileError::new("follow", path, Errno::LOOP))
}

/// Opens a device or a pipe to be written to. It doesn't wait for someone to read from a pipe: nobody may ever come.
pub(crate) fn open_stream(path: &Path) -> Result<File, FileError> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let failed = |errno| FileError::new("open", path, errno);
    let handle = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(failed)?;
    // Whoever reads may take as long as it wants.
    rustix::fs::fcntl_setfl(&handle, OFlags::empty()).map_err(failed)?;
    Ok(File::from(handle))
}

/// Shows that [`replace`](crate::replace) can write `path`, as far as that can be told without writing it; its folder is
/// created if it's missing.
///
/// # Errors
/// If `path` is a folder, or its folder can't be created or written to, or a device refuses this user.
pub fn probe_replaceable(path: &Path) -> Result<(), FileError> {
    match Target::of(path)? {
        Target::Stream => rustix::fs::access(path, Access::WRITE_OK)
            .map_err(|errno| FileError::new("write", path, errno)),
        Target::File(path) if path.is_dir() => Err(FileError::new("write", &path, Errno::ISDIR)),
        Target::File(path) => probe_writable(parent_of(&path)),
    }
}
