//! Where bytes for a path have to go: links, devices, pipes and open descriptors are not replaced.

use std::fs::{metadata, read_link};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::error::FileError;
use crate::folder::{parent_of, probe_writable};
use crate::stream::{Output, Stream, is_descriptor};

/// As many links in a row as Linux follows (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// What a path that is to be written names.
pub(crate) enum Target {
    /// A regular file, or nothing yet, at this path, whose last part is no link.
    File(PathBuf),
    /// What is there stays and is written to.
    Stream(Stream),
}

impl Target {
    /// What `path` names.
    pub(crate) fn of(path: &Path) -> Result<Self, FileError> {
        let place = followed(path)?;
        if let Some(output) = Output::at(&place) {
            return Ok(Self::Stream(Stream::Own(output)));
        }
        let is_open = is_descriptor(&place);
        match metadata(path) {
            Ok(found) if found.is_dir() => Ok(Self::File(place)),
            Ok(found) if found.file_type().is_socket() => {
                let why = io::Error::new(
                    io::ErrorKind::Unsupported,
                    "it is a socket, and those cannot be opened as files: name a file or a pipe",
                );
                Err(FileError::new("write", path, why))
            }
            Ok(found) if !found.is_file() => Ok(Self::Stream(Stream::Device)),
            Ok(_) if is_open => Ok(Self::Stream(Stream::OpenFile)),
            Ok(_) => Ok(Self::File(place)),
            // A link may lead to where nothing is yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_open => {
                Ok(Self::File(place))
            }
            Err(error) => Err(FileError::new("look for", path, error)),
        }
    }
}

/// Where the links of `path` lead to. What an open descriptor shows as its target is only a name that the file had once,
/// so those are not followed.
fn followed(path: &Path) -> Result<PathBuf, FileError> {
    let mut place = path.to_path_buf();
    for _ in 0..=MAX_LINKS {
        if is_descriptor(&place) {
            return Ok(place);
        }
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

/// The file that [`replace`](crate::replace) puts a new one in the place of, or would create: `path`, or where its links
/// lead to. `None` if what is there is written to instead.
///
/// # Errors
/// If the links lead nowhere, or this user may not look.
pub fn replaced_file(path: &Path) -> Result<Option<PathBuf>, FileError> {
    match Target::of(path)? {
        Target::File(path) => Ok(Some(path)),
        Target::Stream(_) => Ok(None),
    }
}

/// Shows that [`replace`](crate::replace) can write `path`, as far as that can be told without writing it; its folder is
/// created if it's missing.
///
/// # Errors
/// If `path` is a folder or a socket, or its folder can't be created or written to, or a device refuses this user.
pub fn probe_replaceable(path: &Path) -> Result<(), FileError> {
    match Target::of(path)? {
        Target::Stream(stream) => stream.probe(path),
        Target::File(path) if path.is_dir() => Err(FileError::new("write", &path, Errno::ISDIR)),
        Target::File(path) => probe_writable(parent_of(&path)),
    }
}
