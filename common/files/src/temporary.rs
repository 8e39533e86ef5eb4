//! The names that files have on their way, where they need one, and the removal of those whose writer was killed.
//!
//! A writer locks its file, and the lock goes with the process, however that ends: of a file that can be locked, the
//! writer is gone, whatever process has its number by now. That holds among the processes of one kernel. Mounts that
//! keep locks to themselves (NFS with `nolock`, sshfs) show nothing of another machine's, so a name says which boot of
//! which machine it comes from, and a file of another boot must also not have been written to for a day.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::folder::Folder;

/// Ends every temporary name; nothing without it is ever removed.
const SUFFIX: &str = ".convoy.tmp";

/// Names that are tried before it is an error that all are taken: some are, where containers that share a folder have
/// processes of the same number.
pub(crate) const MAX_NAMES: usize = 100;

/// A random UUID that the kernel makes anew with every boot (random(4)); containers on one kernel have the same.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Hexadecimal digits of the boot id that a name holds: 48 random bits, so that of a thousand machines no two share them,
/// and the name stays short.
const BOOT_DIGITS: usize = 12;

/// Stands in a name for a boot that could not be told, and is nobody's own.
const UNKNOWN_BOOT: &str = "unknown";

/// How long nobody must have written to a file of another boot: no writer pauses for that long, nor do clocks of two
/// machines differ so much.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// `.NAME.BOOT-PID-NUMBER.convoy.tmp`, each time with the next number.
pub(crate) fn name_for(name: &OsStr) -> OsString {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let boot = this_boot().unwrap_or(UNKNOWN_BOOT);
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{boot}-{}-{number}{SUFFIX}", std::process::id()));
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
        let Some(boot) = boot_of(name) else {
            continue;
        };
        // Held until the name is gone: who created the file a moment ago holds it only now, and then looks for its name.
        if let Some(_held) = lock_if_abandoned(folder, name, boot) {
            let _ = rustix::fs::unlinkat(folder, name, AtFlags::empty());
        }
    }
}

/// The boot that this process runs in, as names hold it; `None` where there is no /proc to tell it.
pub(crate) fn this_boot() -> Option<&'static str> {
    static BOOT: LazyLock<Option<String>> = LazyLock::new(|| {
        let id = fs::read_to_string(BOOT_ID).ok()?;
        let digits: String = id.trim().split('-').collect();
        let boot = digits.get(..BOOT_DIGITS)?;
        is_boot(boot).then(|| boot.to_owned())
    });
    BOOT.as_deref()
}

fn is_boot(text: &str) -> bool {
    text.len() == BOOT_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The boot that a temporary name comes from; `None` for every other name.
fn boot_of(name: &OsStr) -> Option<&str> {
    let (_, writer) = name
        .to_str()?
        .strip_prefix('.')?
        .strip_suffix(SUFFIX)?
        .rsplit_once('.')?;
    let mut parts = writer.split('-');
    let (boot, pid, number) = (parts.next()?, parts.next()?, parts.next()?);
    pid.parse::<u32>().ok()?;
    number.parse::<u64>().ok()?;
    let is_ours = parts.next().is_none() && (is_boot(boot) || boot == UNKNOWN_BOOT);
    is_ours.then_some(boot)
}

/// The file, locked, if nobody holds it and, where a lock of its writer might not be seen, nobody wrote to it lately.
fn lock_if_abandoned(folder: &Folder, name: &OsStr, boot: &str) -> Option<File> {
    // Some network file systems lock only what was opened for writing.
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(folder, name, flags, Mode::empty()).ok()?);
    let locks_are_seen = this_boot() == Some(boot);
    if !locks_are_seen && !is_old(&file) {
        return None;
    }
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
    Some(file)
}

fn is_old(file: &File) -> bool {
    let written = file.metadata().and_then(|found| found.modified());
    // A time to come, by a clock that is ahead of ours, is no age.
    written.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > ABANDONED_AFTER))
}
