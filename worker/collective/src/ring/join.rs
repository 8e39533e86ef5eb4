//! Closing the ring: both neighbours at once, because each of them waits for its own neighbours too.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::abort::AbortHandle;
use crate::error::{CollectiveError, Failure};

use super::dial::Dial;
use super::doorway::Doorway;
use super::link::Link;
use super::member::{Identity, Peer, RingListener};
use super::pump::Links;
use super::wake::{WakeEvent, wait_for};

/// One member's way into a ring.
pub(super) struct Join<'a> {
    next: Peer,
    previous: Peer,
    dial: Dial,
    doorway: Doorway<'a>,
    limit: Duration,
    deadline: Instant,
    abort: &'a AbortHandle,
    /// Attached to `abort`.
    wake: &'a WakeEvent,
}

impl<'a> Join<'a> {
    pub(super) fn new(
        listener: &'a RingListener,
        me: &Identity,
        (next, previous): (Peer, Peer),
        limit: Duration,
        abort: &'a AbortHandle,
        wake: &'a WakeEvent,
    ) -> Self {
        let now = Instant::now();
        Self {
            next,
            previous,
            dial: Dial::new(me.clone(), next, listener.key().cloned(), now),
            doorway: Doorway::new(listener, me.clone(), previous),
            limit,
            deadline: now + limit,
            abort,
            wake,
        }
    }

    /// Returns once both neighbours are connected.
    pub(super) fn run(mut self) -> Result<Links, CollectiveError> {
        loop {
            if let Some(error) = self.abort.error() {
                return Err(error);
            }
            let now = Instant::now();
            self.dial.step(now)?;
            self.doorway.step(now)?;
            if self.dial.is_joined() && self.doorway.has_admitted() {
                return self.into_links();
            }
            if now >= self.deadline {
                return Err(self.too_late());
            }
            self.sleep(now)?;
        }
    }

    fn into_links(self) -> Result<Links, CollectiveError> {
        let (Some(next), Some(previous)) = (self.dial.into_stream(), self.doorway.into_stream())
        else {
            unreachable!(
                "a dial that is joined and a doorway that has admitted have a stream each"
            );
        };
        Ok(Links {
            next: Link::new(next, self.next)?,
            previous: Link::new(previous, self.previous)?,
        })
    }

    fn too_late(&self) -> CollectiveError {
        let missing = match (self.dial.is_joined(), self.doorway.has_admitted()) {
            (true, _) => self.doorway.missing(),
            (false, true) => self.dial.missing(),
            (false, false) => format!("{}, {}", self.dial.missing(), self.doorway.missing()),
        };
        Failure::NotConnected {
            limit: self.limit,
            missing,
        }
        .into()
    }

    fn sleep(&self, now: Instant) -> Result<(), CollectiveError> {
        let alarms = [Some(self.deadline), self.dial.alarm(), self.doorway.alarm()];
        let alarm = alarms.into_iter().flatten().min().unwrap_or(self.deadline);
        let mut interests = vec![PollFd::new(self.wake, PollFlags::IN)];
        let sockets = self
            .dial
            .interest()
            .into_iter()
            .chain(self.doorway.interests());
        interests.extend(sockets.map(|(socket, wanted)| PollFd::from_borrowed_fd(socket, wanted)));
        wait_for(&mut interests, Some(alarm.saturating_duration_since(now))).map_err(|source| {
            CollectiveError::from(Failure::System {
                operation: "wait for ring neighbours".to_owned(),
                source,
            })
        })
    }
}
