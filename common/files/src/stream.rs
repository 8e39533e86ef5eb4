//! What is written to as it is, since nothing can be put in its place.

use std::fs::{File, canonicalize};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Access, CWD, Mode, OFlags, PROC_SUPER_MAGIC};

use crate::error::FileError;
use crate::folder::parent_of;

/// What takes bytes one after the other.
#[derive(Clone, Copy)]
pub(crate) enum Stream {
    /// A device or a pipe.
    Device,
    /// A regular file that someone has open, named by the descriptor: a new file in its place would not be what they have.
    OpenFile,
    /// This process's own standard output or error, whatever it is. Opened a second time, a file would have a second
    /// position, and the next line on the first one would overwrite what was written there.
    Own(Output),
}

#[derive(Clone, Copy)]
pub(crate) enum Output {
    Stdout,
    Stderr,
}

impl Stream {
    /// Opens it to be written to. It doesn't wait for someone to read from a pipe: nobody may ever come.
    pub(crate) fn open(self, path: &Path) -> Result<File, FileError> {
        match self {
            Self::Device => reopen(path, OFlags::empty()),
            Self::OpenFile => reopen(path, OFlags::APPEND),
            Self::Own(output) => output
                .duplicate()
                .map(File::from)
                .map_err(|source| FileError::new("open", path, source)),
        }
    }

    /// Whether this process may write to it.
    pub(crate) fn probe(self, path: &Path) -> Result<(), FileError> {
        let failed = |errno| FileError::new("write", path, errno);
        match self {
            Self::Device | Self::OpenFile => {
                rustix::fs::access(path, Access::WRITE_OK).map_err(failed)
            }
            Self::Own(output) => {
                let handle = output
                    .duplicate()
                    .map_err(|source| FileError::new("write", path, source))?;
                let flags = rustix::fs::fcntl_getfl(&handle).map_err(failed)?;
                if flags.intersects(OFlags::WRONLY | OFlags::RDWR) {
                    Ok(())
                } else {
                    // What a write would answer (write(2)).
                    Err(failed(rustix::io::Errno::BADF))
                }
            }
        }
    }
}

impl Output {
    /// Which of the two `path` names: `/proc/self/fd/1`, say.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        let own = canonicalize("/proc/self/fd").ok()?;
        if canonicalize(parent_of(path)).ok()? != own {
            return None;
        }
        match path.file_name()?.to_str()? {
            "1" => Some(Self::Stdout),
            "2" => Some(Self::Stderr),
            _ => None,
        }
    }

    fn duplicate(self) -> io::Result<OwnedFd> {
        match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                // Lines before this keep their place before it.
                stdout.flush()?;
                stdout.as_fd().try_clone_to_owned()
            }
            Self::Stderr => io::stderr().as_fd().try_clone_to_owned(),
        }
    }
}

/// Whether `path` names a descriptor that some process has open: `/proc/PID/fd/NUMBER`, and what leads into that folder,
/// as `/dev/fd` does.
pub(crate) fn is_descriptor(path: &Path) -> bool {
    let Ok(folder) = canonicalize(parent_of(path)) else {
        return false;
    };
    folder.file_name().is_some_and(|name| name == "fd")
        && rustix::fs::statfs(&folder).is_ok_and(|found| found.f_type == PROC_SUPER_MAGIC)
}

fn reopen(path: &Path, append: OFlags) -> Result<File, FileError> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | append;
    let failed = |errno| FileError::new("open", path, errno);
    let handle = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(failed)?;
    // Whoever reads may take as long as it wants.
    rustix::fs::fcntl_setfl(&handle, append).map_err(failed)?;
    Ok(File::from(handle))
}
