//! What the replica's threads tell: events, which are queued, and progress, of which only the newest matters.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};

use super::{Event, Progress};

/// Tells events, and counts how often that had to wait. Clones tell and count the same.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    queue: mpsc::Sender<Event>,
    waits: Arc<AtomicU64>,
}

impl Events {
    pub(crate) fn into(queue: mpsc::Sender<Event>) -> Self {
        Self {
            queue,
            waits: Arc::default(),
        }
    }

    /// Tells an event; when nobody listens any more the worker is about to end.
    ///
    /// The session takes events at once unless the coordinator reads nothing for so long that all queues on the way to it
    /// are full: then training waits for it here, and nowhere else.
    pub(crate) fn tell(&self, event: Event) {
        let told = match self.queue.try_send(event) {
            Err(TrySendError::Full(event)) => {
                self.waits.fetch_add(1, Ordering::Relaxed);
                self.queue.blocking_send(event).is_ok()
            }
            Err(TrySendError::Closed(_)) => false,
            Ok(()) => true,
        };
        if !told {
            tracing::debug!("nobody listens to the replica any more");
        }
    }

    /// How often an event had to wait.
    pub(crate) fn waits(&self) -> u64 {
        self.waits.load(Ordering::Relaxed)
    }
}

/// The thread's side of the channels.
pub(crate) struct Teller {
    events: Events,
    progress: watch::Sender<Progress>,
}

impl Teller {
    pub(crate) fn new(events: Events, progress: watch::Sender<Progress>) -> Self {
        Self { events, progress }
    }

    /// As [`Events::tell`].
    pub(crate) fn tell(&self, event: Event) {
        self.events.tell(event);
    }

    pub(crate) fn publish(&self, progress: &Progress) {
        let mut progress = progress.clone();
        progress.coordinator_waits = self.events.waits();
        self.progress.send_replace(progress);
    }

    pub(crate) fn events(&self) -> Events {
        self.events.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(reason: &str) -> Event {
        Event::Failed {
            reason: reason.to_owned(),
        }
    }

    fn eventually(condition: impl Fn() -> bool) {
        while !condition() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn event_that_finds_its_queue_full_waits_and_is_counted() {
        let (queue, mut inbox) = mpsc::channel(1);
        let events = Events::into(queue);
        events.tell(failed("first"));
        assert_eq!(events.waits(), 0, "there was room");
        let other = events.clone();
        let waiting = std::thread::spawn(move || other.tell(failed("second")));
        eventually(|| events.waits() == 1);
        for expected in ["first", "second"] {
            let Some(Event::Failed { reason }) = inbox.blocking_recv() else {
                panic!("{expected} was told");
            };
            assert_eq!(reason, expected);
        }
        waiting.join().unwrap();
        let (publish, newest) = watch::channel(Progress::default());
        Teller::new(events, publish).publish(&Progress::default());
        assert_eq!(newest.borrow().coordinator_waits, 1);
    }

    #[test]
    fn event_that_nobody_wants_does_not_wait() {
        let (queue, inbox) = mpsc::channel(1);
        let events = Events::into(queue);
        events.tell(failed("first"));
        drop(inbox);
        events.tell(failed("second"));
        assert_eq!(events.waits(), 0);
    }
}
