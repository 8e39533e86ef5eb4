//! Waiting for sockets in a way that other threads can cut short.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use crate::abort::Wake;

/// Makes a [`wait_for`] that watches it return.
#[derive(Debug)]
pub(super) struct WakeEvent(OwnedFd);

impl WakeEvent {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(eventfd(
            0,
            EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK,
        )?))
    }

    /// Forgets all calls of `wake` so far.
    pub(super) fn reset(&self) {
        // Fails only if there was none.
        let _ = rustix::io::read(&self.0, &mut [0u8; 8]);
    }
}

impl Wake for WakeEvent {
    fn wake(&self) {
        // Fails only if it is signalled more often than a u64 can count, and then it is signalled.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }
}

impl AsFd for WakeEvent {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until something of `interests` happens, or `limit` has passed.
pub(super) fn wait_for(interests: &mut [PollFd<'_>], limit: Option<Duration>) -> io::Result<()> {
    // A limit too long for the kernel's clock is none.
    let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
    match poll(interests, limit.as_ref()) {
        // A signal handler ran; the caller looks at everything again anyway.
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What a socket reports, asked for or not, once its other side has ended the connection.
pub(super) fn ended() -> PollFlags {
    PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL
}
