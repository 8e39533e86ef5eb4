//! A bound on how long an orderly end may take.

use std::thread;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};

/// The thread that would enforce the bound could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the thread that bounds the shutdown: {source}")]
pub struct ForcedEndError {
    source: std::io::Error,
}

/// Ends this process by `SIGKILL` when it is still there after `limit`. For the start of a shutdown: whatever hangs on
/// the way out, the process goes, and its children with it. A process that is done earlier just returns from `main`.
///
/// # Errors
/// If the thread that waits can't be started.
pub fn force_end_after(limit: Duration) -> Result<(), ForcedEndError> {
    thread::Builder::new()
        .name("forced-end".to_owned())
        .spawn(move || {
            thread::sleep(limit);
            // Fails only for a pid that isn't ours.
            let _ = kill_process(getpid(), Signal::KILL);
        })
        .map(|_| ())
        .map_err(|source| ForcedEndError { source })
}
