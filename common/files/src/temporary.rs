//! The names that files have on their way, where they need one, and the removal of those whose writer was killed.
//!
//! A writer locks its file. The lock goes with the process, however that ends, so that a file that can be locked, of a
//! process that is no longer there, is nobody's. The number of the process alone would not do: another machine with the
//! same folder, or another container, has processes of its own.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::folder::Folder;

/// Ends every temporary name; nothing without it is ever removed.
const SUFFIX: &str = ".convoy.tmp";

/// Names that are tried before it is an error that all are taken: one is, where a process had the number of this one
/// and was killed.
pub(crate) const MAX_NAMES: usize = 100;

/// `.NAME.PID-NUMBER.convoy.tmp`, each time with the next number.
pub(crate) fn name_for(name: &OsStr) -> OsString {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}-{number}{SUFFIX}", std::process::id()));
    temporary
}

/// Marks a file as one that is being written. Waits for a [`sweep`] that is looking at it, which takes no time.
pub(crate) fn hold(file: &File) {
    // Where the file system knows no locks, nobody who sweeps gets one either.
    while rustix::fs::flock(file, FlockOperation::LockExclusive) == Err(Errno::INTR) {}
}

/// Removes what killed processes left in `folder`. Whatever goes wrong is the business of no one who came to write.
pub(crate) fn sweep(folder: &Folder) {
    let Ok(entries) = Dir::read_from(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if writer(name).is_none_or(runs) {
            continue;
        }
        // Held until the name is gone: who created the file a moment ago holds it only now, and then looks for its name.
        if let Some(_held) = lock_if_free(folder, name) {
            let _ = rustix::fs::unlinkat(folder, name, AtFlags::empty());
        }
    }
}

/// The process that a temporary name belongs to; `None` for every other name.
fn writer(name: &OsStr) -> Option<Pid> {
    let (_, writer) = name
        .to_str()?
        .strip_prefix('.')?
        .strip_suffix(SUFFIX)?
        .rsplit_once('.')?;
    let (pid, number) = writer.split_once('-')?;
    number.parse::<u64>().ok()?;
    Pid::from_raw(pid.parse().ok().filter(|pid| *pid > 0)?)
}

fn runs(pid: Pid) -> bool {
    // Refused for a process of another user, which runs as well.
    test_kill_process(pid) != Err(Errno::SRCH)
}

/// The file, locked, if nobody holds it.
fn lock_if_free(folder: &Folder, name: &OsStr) -> Option<OwnedFd> {
    // Some network file systems lock only what was opened for writing.
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(folder, name, flags, Mode::empty()).ok()?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
    Some(file)
}
