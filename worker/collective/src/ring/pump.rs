//! The communication thread of a ring.

use std::sync::Arc;

use rustix::event::{PollFd, PollFlags};

use crate::element::Elements;
use crate::error::{CollectiveError, Failure};
use crate::operation::{Header, Operation};

use super::exchange::{Exchange, Scratch, scratch};
use super::link::Link;
use super::member::Identity;
use super::queue::Queue;
use super::wake::{ended, wait_for};

/// The two connections of a ring member.
#[derive(Debug)]
pub(super) struct Links {
    /// Where bytes go.
    pub(super) next: Link,
    /// Where bytes come from.
    pub(super) previous: Link,
}

/// Runs operations until something fails or the ring is dropped.
pub(super) fn run(me: Identity, links: Links, queue: Arc<Queue>) {
    let mut end = End {
        queue: &queue,
        error: None,
    };
    let mut pump = Pump {
        me,
        links,
        queue: &queue,
        scratch: scratch(),
    };
    let error = pump.run();
    tracing::debug!(rank = %pump.me.rank, attempt = %pump.me.attempt, reason = %error, "ring ended");
    // First the sockets, so that neighbours learn of it while this rank's callers wake up.
    drop(pump);
    end.error = Some(error);
}

/// Fails the queue when the thread ends, also by a panic in someone's buffer: nobody may wait for a dead thread.
struct End<'a> {
    queue: &'a Queue,
    error: Option<CollectiveError>,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        let panicked = || {
            Failure::Closed {
                reason: "its thread panicked".to_owned(),
            }
            .into()
        };
        self.queue.fail(self.error.take().unwrap_or_else(panicked));
    }
}

struct Pump<'a> {
    me: Identity,
    links: Links,
    queue: &'a Queue,
    scratch: Scratch,
}

impl Pump<'_> {
    fn run(&mut self) -> CollectiveError {
        loop {
            let turn = match self.queue.next() {
                Some(operation) => self.perform(operation),
                None => self.sleep(),
            };
            if let Err(error) = turn.and_then(|()| self.queue.interruption()) {
                return error;
            }
        }
    }

    /// Waits for a submission, an abort, or the end of a connection.
    fn sleep(&mut self) -> Result<(), CollectiveError> {
        let wake = self.queue.wake_event();
        let Links { next, previous } = &self.links;
        // What the previous rank sends early is left in the socket until the operation begins here.
        let mut interests = [
            PollFd::new(wake, PollFlags::IN),
            PollFd::new(next, PollFlags::RDHUP),
            PollFd::new(previous, PollFlags::RDHUP),
        ];
        wait_for(&mut interests, None).map_err(poll_failed)?;
        let happened = interests.map(|interest| interest.revents());
        wake.reset();
        // An operation cannot be complete anywhere without this rank, so whoever leaves now leaves it behind.
        for (link, happened) in [(next, happened[1]), (previous, happened[2])] {
            if happened.intersects(ended()) {
                self.queue.interruption()?;
                return Err(link.lost(link.end(), "between operations"));
            }
        }
        Ok(())
    }

    fn perform(&mut self, operation: Operation) -> Result<(), CollectiveError> {
        let Operation { header, buffer } = operation;
        let mut outcome = None;
        buffer.with_elements(&mut |elements| {
            if outcome.is_none() {
                outcome = Some(self.exchange(header, elements));
            }
        });
        // The caller may want it back as soon as `wait` returns.
        drop(buffer);
        match outcome {
            Some(outcome) => outcome?,
            None => return Err(invalid_buffer(&header, "showed no elements".to_owned())),
        }
        self.queue.complete();
        Ok(())
    }

    fn exchange(&mut self, header: Header, elements: Elements<'_>) -> Result<(), CollectiveError> {
        if elements.dtype() != header.dtype || elements.len() as u64 != header.elements {
            let what = format!("turned out to hold {} {}", elements.len(), elements.dtype());
            return Err(invalid_buffer(&header, what));
        }
        let mut exchange = Exchange::new(header, &self.me, elements, &mut self.scratch);
        let Links { next, previous } = &self.links;
        loop {
            self.queue.interruption()?;
            let sent = exchange
                .send(next)
                .map_err(|lost| exchange.disagreement_or(lost, previous))?;
            let received = exchange.receive(previous)?;
            let (unsent, unreceived) = (exchange.has_unsent(), exchange.has_unreceived());
            if !unsent && !unreceived {
                return Ok(());
            }
            if sent || received {
                continue;
            }
            let wanted = if exchange.has_sendable() {
                PollFlags::OUT
            } else {
                PollFlags::empty()
            };
            // A neighbour that has got all it needs from here may leave, so each is watched only while it is needed.
            let mut interests = [
                PollFd::new(next, wanted | PollFlags::RDHUP),
                PollFd::new(self.queue.wake_event(), PollFlags::IN),
                PollFd::new(previous, PollFlags::IN),
            ];
            let watched = match (unsent, unreceived) {
                (true, true) => &mut interests[..],
                (true, false) => &mut interests[..2],
                (false, _) => &mut interests[1..],
            };
            wait_for(watched, None).map_err(poll_failed)?;
            if unsent && interests[0].revents().intersects(ended()) {
                self.queue.interruption()?;
                let lost = next.lost(next.end(), format_args!("in {header}"));
                return Err(exchange.disagreement_or(lost, previous));
            }
            if !interests[1].revents().is_empty() {
                self.queue.wake_event().reset();
            }
        }
    }
}

fn invalid_buffer(header: &Header, what: String) -> CollectiveError {
    Failure::InvalidBuffer {
        operation: header.to_string(),
        what,
    }
    .into()
}

fn poll_failed(source: std::io::Error) -> CollectiveError {
    Failure::System {
        operation: "wait for the sockets of the ring".to_owned(),
        source,
    }
    .into()
}
