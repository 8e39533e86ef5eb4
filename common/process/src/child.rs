//! A running child: signals, waiting, and the orderly end.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::exit::ExitDescription;

/// A signal could not be sent.
#[derive(Debug, thiserror::Error)]
#[error("cannot send signal {signal} to process {pid}: {source}")]
pub struct SignalError {
    pid: u32,
    signal: i32,
    source: io::Error,
}

/// A child started by [`Spawner`](crate::Spawner). Clones name the same process. Dropping it neither ends nor forgets
/// the process: a thread of its own waits for it.
#[derive(Clone, Debug)]
pub struct Child {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pid: Pid,
    /// Set while the process is reaped under this lock, so that a holder who finds `None` may signal the pid.
    exit: Mutex<Option<ExitDescription>>,
    exited: Condvar,
    stopping: AtomicBool,
}

impl Child {
    pub(crate) fn new(pid: Pid) -> Self {
        Self {
            shared: Arc::new(Shared {
                pid,
                exit: Mutex::new(None),
                exited: Condvar::new(),
                stopping: AtomicBool::new(false),
            }),
        }
    }

    /// Its process id; valid as the name of a running process until [`Child::exit`] says otherwise.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.shared.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn exit(&self) -> Option<ExitDescription> {
        self.lock().clone()
    }

    /// Blocks until it has ended.
    #[must_use]
    pub fn wait(&self) -> ExitDescription {
        let mut exit = self.lock();
        loop {
            if let Some(exit) = exit.as_ref() {
                return exit.clone();
            }
            exit = self
                .shared
                .exited
                .wait(exit)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Blocks until it has ended, or `limit` has passed.
    #[must_use]
    pub fn wait_for(&self, limit: Duration) -> Option<ExitDescription> {
        let started = Instant::now();
        let mut exit = self.lock();
        while exit.is_none() {
            let left = limit.checked_sub(started.elapsed())?;
            (exit, _) = self
                .shared
                .exited
                .wait_timeout(exit, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
        exit.clone()
    }

    /// Sends `signal` to the process and whatever it started in its group; false when it had ended before.
    ///
    /// # Errors
    /// If the kernel refuses, which it does for a process that changed its user.
    pub fn signal(&self, signal: Signal) -> Result<bool, SignalError> {
        let exit = self.lock();
        if exit.is_some() {
            return Ok(false);
        }
        kill_process_group(self.shared.pid, signal)
            .map(|()| true)
            .map_err(|source| SignalError {
                pid: self.pid(),
                signal: signal.as_raw(),
                source: source.into(),
            })
    }

    /// Starts the orderly end and returns at once: `SIGTERM` now, `SIGKILL` when it is still there after `grace`.
    /// Only the first call does anything.
    pub fn begin_stop(&self, grace: Duration) {
        if self.shared.stopping.swap(true, Ordering::AcqRel) {
            return;
        }
        // A refused SIGTERM leaves the SIGKILL after the grace; a refused SIGKILL leaves nothing to try.
        let _ = self.signal(Signal::TERM);
        let child = self.clone();
        let killer = thread::Builder::new()
            .name(format!("stop-{}", self.pid()))
            .spawn(move || {
                if child.wait_for(grace).is_none() {
                    let _ = child.signal(Signal::KILL);
                }
            });
        if killer.is_err() {
            let _ = self.signal(Signal::KILL);
        }
    }

    /// The orderly end as [`Child::begin_stop`], waited for.
    #[must_use]
    pub fn stop(&self, grace: Duration) -> ExitDescription {
        self.begin_stop(grace);
        self.wait()
    }

    /// Waits for the process, reaps it and tells the waiters.
    pub(crate) fn reap(&self, mut process: std::process::Child) -> ExitDescription {
        // Without reaping, so that nobody else can get the pid before the lock is taken.
        let ended = || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            !matches!(
                waitid(WaitId::Pid(self.shared.pid), options),
                Err(Errno::INTR)
            )
        };
        while !ended() {}
        let mut exit = self.lock();
        let described = match process.wait() {
            Ok(status) => ExitDescription::from(status),
            Err(error) => ExitDescription {
                clean: false,
                how: format!("ended, but how is unknown: {error}"),
            },
        };
        *exit = Some(described.clone());
        self.shared.exited.notify_all();
        described
    }

    fn lock(&self) -> MutexGuard<'_, Option<ExitDescription>> {
        self.shared
            .exit
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
