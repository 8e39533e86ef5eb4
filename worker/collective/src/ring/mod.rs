//! The ring over TCP.

mod member;

use std::sync::Arc;
use std::time::Duration;

use convoy_common::ids::Rank;

use crate::abort::AbortHandle;
use crate::buffer::SharedBuffer;
use crate::collective::{Collective, OpTag, ReadyEvent, Ticket};
use crate::element::ReduceOp;
use crate::error::{CollectiveError, Failure};

pub use member::{Identity, Peer, RingListener};

/// One rank's part of a ring over TCP. Dropping it closes the ring.
#[derive(Debug)]
pub struct TcpRing {
    me: Identity,
    abort: AbortHandle,
}

impl TcpRing {
    /// Connects to `next` and waits for `previous`, until both are there, `limit` has passed, or `abort` is used. A ring
    /// of one needs neither: both are ignored then.
    ///
    /// # Errors
    /// [`Failure::NotConnected`], [`Failure::Refused`], [`Failure::Aborted`], [`Failure::InvalidRing`],
    /// [`Failure::System`].
    pub fn connect(
        listener: &RingListener,
        me: Identity,
        next: Peer,
        previous: Peer,
        limit: Duration,
        abort: AbortHandle,
    ) -> Result<Self, CollectiveError> {
        let _ = (listener, next, previous, limit, abort, me);
        Err(Failure::Closed {
            reason: "not built yet".to_owned(),
        }
        .into())
    }
}

impl Collective for TcpRing {
    fn submit(
        &self,
        _buffer: Arc<dyn SharedBuffer>,
        _op: ReduceOp,
        _tag: OpTag,
        _ready: ReadyEvent,
    ) -> Result<Ticket, CollectiveError> {
        Ok(Ticket(0))
    }

    fn wait(&self, _ticket: Ticket) -> Result<(), CollectiveError> {
        Ok(())
    }

    fn abort_handle(&self) -> AbortHandle {
        self.abort.clone()
    }

    fn rank(&self) -> Rank {
        self.me.rank
    }

    fn world(&self) -> u32 {
        self.me.world
    }
}
