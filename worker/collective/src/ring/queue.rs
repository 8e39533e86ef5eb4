//! What the callers of a ring and its thread share.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::abort::{AbortHandle, Wake};
use crate::buffer::SharedBuffer;
use crate::collective::{OpTag, Ticket};
use crate::element::ReduceOp;
use crate::error::{CollectiveError, Failure};
use crate::operation::{Header, Operation};

use super::wake::WakeEvent;

/// Operations in flight: a model of thousands of tensors has a few hundred buckets. Room for all is made beforehand.
const MAX_IN_FLIGHT: usize = 4_096;

/// Operations on their way to the thread, and how far it is.
pub(super) struct Queue {
    state: Mutex<State>,
    progressed: Condvar,
    closing: AtomicBool,
    wake: Arc<WakeEvent>,
    abort: AbortHandle,
}

struct State {
    waiting: VecDeque<Operation>,
    submitted: u64,
    completed: u64,
    /// The first error; set once the thread touches no buffer any more.
    failure: Option<CollectiveError>,
    /// The thread has found nothing to do and sleeps.
    parked: bool,
}

impl Queue {
    pub(super) fn new(wake: Arc<WakeEvent>, abort: AbortHandle) -> Self {
        let waiting = VecDeque::with_capacity(MAX_IN_FLIGHT);
        Self {
            state: Mutex::new(State {
                waiting,
                submitted: 0,
                completed: 0,
                failure: None,
                parked: false,
            }),
            progressed: Condvar::new(),
            closing: AtomicBool::new(false),
            wake,
            abort,
        }
    }

    pub(super) fn wake_event(&self) -> &WakeEvent {
        &self.wake
    }

    pub(super) fn abort_handle(&self) -> &AbortHandle {
        &self.abort
    }

    // ------------------------------------------------------------ for callers

    pub(super) fn submit(
        &self,
        buffer: Arc<dyn SharedBuffer>,
        op: ReduceOp,
        tag: OpTag,
    ) -> Result<Ticket, CollectiveError> {
        let (dtype, elements) = (buffer.dtype(), buffer.len() as u64);
        let mut state = self.lock();
        self.check(&state)?;
        if state.submitted - state.completed >= MAX_IN_FLIGHT as u64 {
            return Err(Failure::TooManyInFlight {
                limit: MAX_IN_FLIGHT,
            }
            .into());
        }
        let sequence = state.submitted;
        state.waiting.push_back(Operation {
            header: Header {
                sequence,
                tag,
                dtype,
                op,
                elements,
            },
            buffer,
        });
        state.submitted += 1;
        let parked = std::mem::take(&mut state.parked);
        drop(state);
        if parked {
            self.wake.wake();
        }
        Ok(Ticket(sequence))
    }

    /// As `submit`, for a ring of one: the buffer holds the result already.
    pub(super) fn submit_alone(&self) -> Result<Ticket, CollectiveError> {
        let mut state = self.lock();
        self.check(&state)?;
        let sequence = state.submitted;
        state.submitted += 1;
        state.completed += 1;
        Ok(Ticket(sequence))
    }

    pub(super) fn wait(&self, ticket: Ticket) -> Result<(), CollectiveError> {
        let Ticket(ticket) = ticket;
        let mut state = self.lock();
        if ticket >= state.submitted {
            return Err(Failure::ForeignTicket {
                ticket,
                submitted: state.submitted,
            }
            .into());
        }
        loop {
            if ticket < state.completed {
                return Ok(());
            }
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            state = self
                .progressed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Tells the thread to end.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.wake.wake();
    }

    // ------------------------------------------------------------ for the thread

    /// The next operation; `None` if there is none, and then the next `submit` wakes the thread.
    pub(super) fn next(&self) -> Option<Operation> {
        let mut state = self.lock();
        let operation = state.waiting.pop_front();
        state.parked = operation.is_none();
        operation
    }

    /// Marks the oldest operation complete. Its buffer must have been given back.
    pub(super) fn complete(&self) {
        self.lock().completed += 1;
        self.progressed.notify_all();
    }

    /// Why the thread should end, if it should.
    pub(super) fn interruption(&self) -> Result<(), CollectiveError> {
        if let Some(error) = self.abort.error() {
            return Err(error);
        }
        if self.closing.load(Ordering::Acquire) {
            return Err(Failure::Closed {
                reason: "it was dropped".to_owned(),
            }
            .into());
        }
        Ok(())
    }

    /// Fails everything from now on, gives all buffers back and wakes whoever waits. The first error stays.
    pub(super) fn fail(&self, error: CollectiveError) {
        let mut state = self.lock();
        state.waiting.clear();
        if state.failure.is_none() {
            // Calls may have been failed with the abort's error already; they all shall get the same.
            state.failure = Some(self.abort.error().unwrap_or(error));
        }
        drop(state);
        self.progressed.notify_all();
    }

    fn check(&self, state: &State) -> Result<(), CollectiveError> {
        match state.failure.clone().or_else(|| self.abort.error()) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
