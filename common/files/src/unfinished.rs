//! A file on its way to its name.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::Created;
use crate::error::FileError;
use crate::folder::{Folder, file_name};
use crate::temporary;

/// Readable by all, whatever the umask says: checkpoints are read by other users' evaluation jobs.
const MODE: Mode = Mode::from_raw_mode(0o644);

/// Dropped before it is published, it is gone.
pub(crate) struct Unfinished<'f> {
    folder: &'f Folder,
    file: File,
    /// The name it has meanwhile; `None` for a file without a name.
    temporary_name: Option<OsString>,
}

impl<'f> Unfinished<'f> {
    /// An empty file in `folder` that is to become `path`: without a name where the file system can do that.
    pub(crate) fn in_folder(folder: &'f Folder, path: &Path) -> Result<Self, FileError> {
        match rustix::fs::openat(
            folder,
            ".",
            OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC,
            MODE,
        ) {
            Ok(handle) => Self::with_mode(folder, path, File::from(handle), None),
            // What kernels and file systems without O_TMPFILE answer (open(2)).
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Self::named(folder, path),
            Err(errno) => Err(FileError::new("create", path, errno)),
        }
    }

    /// The same under a hidden temporary name.
    pub(crate) fn named(folder: &'f Folder, path: &Path) -> Result<Self, FileError> {
        let failed = |errno| FileError::new("create", path, errno);
        temporary::sweep(folder);
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        for _ in 0..temporary::MAX_NAMES {
            let name = temporary::name_for(file_name(path)?);
            let file = match rustix::fs::openat(folder, &name, flags, MODE) {
                Ok(handle) => File::from(handle),
                Err(Errno::EXIST) => continue,
                Err(errno) => return Err(failed(errno)),
            };
            temporary::hold(&file);
            // Before it was held, a sweep on another machine could take it for one that nobody writes to.
            if folder.has_name(&name).map_err(failed)? {
                return Self::with_mode(folder, path, file, Some(name));
            }
        }
        Err(failed(Errno::EXIST))
    }

    fn with_mode(
        folder: &'f Folder,
        path: &Path,
        file: File,
        name: Option<OsString>,
    ) -> Result<Self, FileError> {
        let unfinished = Self {
            folder,
            file,
            temporary_name: name,
        };
        rustix::fs::fchmod(&unfinished.file, MODE)
            .map_err(|errno| FileError::new("set the permissions of", path, errno))?;
        Ok(unfinished)
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn file_mut(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives the file the name of `path` unless that is taken.
    pub(crate) fn publish_new(mut self, path: &Path) -> Result<Created, FileError> {
        let name = file_name(path)?;
        let published = match &self.temporary_name {
            None => self.link_to(name),
            Some(temporary) => self.rename_to_free(temporary, name),
        };
        match published {
            Ok(()) => {
                self.temporary_name = None;
                Ok(Created::New)
            }
            Err(Errno::EXIST) => Ok(Created::AlreadyThere),
            Err(errno) => Err(FileError::new("create", path, errno)),
        }
    }

    /// Gives the file the name of `path` in the place of what has it.
    pub(crate) fn publish_over(mut self, path: &Path) -> Result<(), FileError> {
        let name = file_name(path)?;
        let failed = |errno: Errno| FileError::new("replace", path, errno);
        if self.temporary_name.is_none() {
            match self.link_to(name) {
                Ok(()) => return Ok(()),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(failed(errno)),
            }
            // A file without a name can't be linked over another. Only between this call and the rename right below
            // could a kill leave a second name behind.
            self.temporary_name = Some(self.link_temporarily(name).map_err(failed)?);
        }
        if let Some(temporary) = &self.temporary_name {
            rustix::fs::renameat(self.folder, temporary, self.folder, name).map_err(failed)?;
        }
        self.temporary_name = None;
        Ok(())
    }

    /// Gives the file a temporary name on its way to `name`.
    fn link_temporarily(&self, name: &OsStr) -> Result<OsString, Errno> {
        temporary::sweep(self.folder);
        temporary::hold(&self.file);
        for _ in 0..temporary::MAX_NAMES {
            let temporary = temporary::name_for(name);
            match self.link_to(&temporary) {
                Ok(()) => return Ok(temporary),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        Err(Errno::EXIST)
    }

    /// `linkat` by descriptor needs a capability on older kernels, the way through /proc needs none (open(2), O_TMPFILE).
    fn link_to(&self, name: &OsStr) -> Result<(), Errno> {
        let through_proc = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        match rustix::fs::linkat(
            CWD,
            through_proc,
            self.folder,
            name,
            AtFlags::SYMLINK_FOLLOW,
        ) {
            // No /proc in this container.
            Err(Errno::NOENT) => {
                rustix::fs::linkat(&self.file, "", self.folder, name, AtFlags::EMPTY_PATH)
            }
            result => result,
        }
    }

    fn rename_to_free(&self, temporary: &OsStr, name: &OsStr) -> Result<(), Errno> {
        match rustix::fs::renameat_with(
            self.folder,
            temporary,
            self.folder,
            name,
            RenameFlags::NOREPLACE,
        ) {
            // File systems without that flag have hard links.
            Err(Errno::INVAL | Errno::NOSYS) => {
                rustix::fs::linkat(self.folder, temporary, self.folder, name, AtFlags::empty())?;
                rustix::fs::unlinkat(self.folder, temporary, AtFlags::empty())
            }
            result => result,
        }
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(name) = &self.temporary_name {
            // Best effort: the error that led here is the one to report.
            let _ = rustix::fs::unlinkat(self.folder, name, AtFlags::empty());
        }
    }
}
