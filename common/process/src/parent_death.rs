//! The child's side: end when the parent ends.

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// Why the process must not go on.
#[derive(Debug, thiserror::Error)]
pub enum Orphaned {
    /// The parent ended before the child could ask for the signal.
    #[error(
        "the process that started this one (pid {expected}) is gone; the parent is now pid {found}"
    )]
    ParentGone {
        /// Who started this process.
        expected: u32,
        /// Who inherited it; 0 when that process is outside this pid namespace.
        found: i32,
    },
    /// The kernel refused; it never does on Linux.
    #[error("cannot ask the kernel for signal {signal} on the death of the parent: {source}")]
    Refused {
        /// The signal asked for.
        signal: i32,
        /// What the kernel answered.
        source: std::io::Error,
    },
}

/// Makes the kernel send `signal` to this process when its parent ends. Call it first in `main`, on the main thread:
/// the request belongs to the calling thread.
///
/// `expected_parent` is what the parent passed as [`PARENT_PID_FLAG`](crate::PARENT_PID_FLAG). The order makes it free
/// of races: a parent that ends before the request is seen by the comparison, one that ends after it by the kernel.
///
/// # Errors
/// If the parent is already gone; the caller should return from `main` at once.
pub fn die_with_parent(expected_parent: u32, signal: Signal) -> Result<(), Orphaned> {
    set_parent_process_death_signal(Some(signal)).map_err(|source| Orphaned::Refused {
        signal: signal.as_raw(),
        source: source.into(),
    })?;
    let found = getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
    if u32::try_from(found) == Ok(expected_parent) {
        Ok(())
    } else {
        Err(Orphaned::ParentGone {
            expected: expected_parent,
            found,
        })
    }
}
