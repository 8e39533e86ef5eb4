//! A folder of a file system.

mod spare;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, FlockOperation};
use rustix::io::Errno;

use super::{Disk, DiskFile};
use crate::error::JournalError;
use spare::Spare;

/// Hidden from [`Disk::list`], as every name with a dot in front.
const LOCK: &str = ".lock";
/// Zeroes are written this many at a time, and synced, so that a sync of the log beside it never waits for many.
static ZEROES: [u8; 1 << 20] = [0; 1 << 20];

/// A folder that this process alone uses, as long as the value lives.
pub struct RealDisk {
    path: PathBuf,
    folder: File,
    spare: Spare,
    /// Held, not used: closing it gives the folder free.
    _lock: File,
}

impl RealDisk {
    /// Opens the folder, which is created if it's missing, and locks it.
    ///
    /// # Errors
    /// [`JournalError::Locked`] names the process that has it; otherwise if the folder can't be created or opened.
    pub fn open(folder: &Path) -> Result<Self, JournalError> {
        let shown = folder.display().to_string();
        convoy_files::ensure_folder(folder)
            .map_err(|error| JournalError::io("create folder", &shown, error.source))?;
        let lock = lock(folder)?;
        let spare = Spare::new(folder)
            .map_err(|source| JournalError::io("remove a spare file from", &shown, source))?;
        let handle =
            File::open(folder).map_err(|source| JournalError::io("open folder", &shown, source))?;
        Ok(Self {
            path: folder.to_owned(),
            folder: handle,
            spare,
            _lock: lock,
        })
    }

    fn named(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Takes the lock of `folder` for this process and writes its id into it.
fn lock(folder: &Path) -> Result<File, JournalError> {
    let path = folder.join(LOCK);
    let failed = |operation| {
        let path = path.display().to_string();
        move |source: io::Error| JournalError::io(operation, &path, source)
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed("open"))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let mut text = String::new();
            file.read_to_string(&mut text).map_err(failed("read"))?;
            return Err(JournalError::Locked {
                folder: folder.to_owned(),
                pid: text.trim().parse().ok(),
            });
        }
        Err(errno) => return Err(failed("lock")(errno.into())),
    }
    let pid = format!("{}\n", std::process::id());
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(pid.as_bytes()))
        .map_err(failed("write"))?;
    Ok(file)
}

impl Disk for RealDisk {
    type File = RealFile;

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            // No name of ours is other than UTF-8.
            if let Ok(name) = entry?.file_name().into_string()
                && !name.starts_with('.')
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<RealFile> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.named(name))?;
        Ok(RealFile { file })
    }

    fn create(&self, name: &str, zeroed_bytes: u64) -> io::Result<RealFile> {
        let path = self.named(name);
        if zeroed_bytes > 0 {
            // The lock keeps others from taking the name meanwhile.
            if path.try_exists()? {
                return Err(Errno::EXIST.into());
            }
            if let Some(file) = self.spare.take(zeroed_bytes, &path)? {
                return Ok(RealFile { file });
            }
        }
        let file = zeroed(&path, zeroed_bytes, || false)?;
        Ok(RealFile { file })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.named(from), self.named(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.named(name))
    }

    fn sync_folder(&self) -> io::Result<()> {
        match rustix::fs::fsync(&self.folder) {
            // Some network and FUSE file systems refuse fsync on folders; there is nothing more that could be done.
            Ok(()) | Err(Errno::INVAL | Errno::NOTSUP) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn free_bytes(&self) -> io::Result<u64> {
        free_bytes(&self.path)
    }

    fn prepare(&self, zeroed_bytes: u64) {
        self.spare.prepare(zeroed_bytes);
    }
}

/// Bytes an unprivileged process may still use on the file system of `folder`.
fn free_bytes(folder: &Path) -> io::Result<u64> {
    let stats = rustix::fs::statvfs(folder)?;
    Ok(stats.f_bavail.saturating_mul(stats.f_frsize))
}

/// A new file of `bytes` zeroes that were written, not only promised: the first write of a block then costs what the second
/// does, and a sync has no metadata to wait for. On any failure, and when `stops` says so, no file is left.
fn zeroed(path: &Path, bytes: u64, stops: impl Fn() -> bool) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    fill(&file, bytes, stops).inspect_err(|_| {
        // The first error is the one to tell.
        let _ = fs::remove_file(path);
    })?;
    Ok(file)
}

fn fill(file: &File, bytes: u64, stops: impl Fn() -> bool) -> io::Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes) {
        // Where it can't be done in one go the zeroes below do it.
        Ok(()) | Err(Errno::NOTSUP | Errno::NOSYS | Errno::INVAL) => {}
        Err(errno) => return Err(errno.into()),
    }
    let mut written = 0;
    while written < bytes {
        if stops() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let count = (bytes - written).min(ZEROES.len() as u64);
        let zeroes = &ZEROES[..usize::try_from(count).unwrap_or(ZEROES.len())];
        file.write_all_at(zeroes, written)?;
        file.sync_data()?;
        written += count;
    }
    Ok(())
}

/// An open file of a [`RealDisk`].
pub struct RealFile {
    file: File,
}

impl DiskFile for RealFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.file.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests;
