//! Ending a collective from outside.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::error::{CollectiveError, Failure};

/// Something that waits and must learn of an abort at once.
pub(crate) trait Wake: Send + Sync {
    fn wake(&self);
}

/// Ends whatever was given a clone of it, from any thread: a [`connect`](crate::TcpRing::connect) in progress, a
/// collective, every wait on it. Stays aborted: the next attempt gets a new handle.
#[derive(Clone, Default)]
pub struct AbortHandle {
    signal: Arc<Signal>,
}

#[derive(Default)]
struct Signal {
    /// Set once `state.error` is; spares the lock in loops.
    aborted: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    error: Option<CollectiveError>,
    sleepers: Vec<Weak<dyn Wake>>,
}

impl AbortHandle {
    /// A handle that nobody has used yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends everything that holds this handle; `reason` becomes the error of its calls. Only the first call counts.
    pub fn abort(&self, reason: impl Into<String>) {
        let sleepers = {
            let mut state = self.lock();
            if state.error.is_some() {
                return;
            }
            state.error = Some(
                Failure::Aborted {
                    reason: reason.into(),
                }
                .into(),
            );
            self.signal.aborted.store(true, Ordering::Release);
            std::mem::take(&mut state.sleepers)
        };
        // Outside the lock: those who wake up ask for the error.
        for sleeper in sleepers.iter().filter_map(Weak::upgrade) {
            sleeper.wake();
        }
    }

    /// Whether [`abort`](Self::abort) was called.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.signal.aborted.load(Ordering::Acquire)
    }

    /// The error that the first abort made.
    #[must_use]
    pub fn error(&self) -> Option<CollectiveError> {
        if self.is_aborted() {
            self.lock().error.clone()
        } else {
            None
        }
    }

    /// Wakes `sleeper` on abort; at once if that has happened already.
    pub(crate) fn attach(&self, sleeper: Weak<dyn Wake>) {
        let mut state = self.lock();
        if state.error.is_none() {
            state.sleepers.retain(|known| known.strong_count() > 0);
            state.sleepers.push(sleeper);
            return;
        }
        drop(state);
        if let Some(sleeper) = sleeper.upgrade() {
            sleeper.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.signal
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortHandle")
            .field("error", &self.error())
            .finish()
    }
}
