//! The ring over TCP: each rank sends to the next one and receives from the previous one.
//!
//! [`TcpRing::connect`] runs the handshakes with both neighbours (`join`: `dial`, `doorway`, `frame`) on the caller's
//! thread. Then one thread owns both sockets (`pump`) and takes operations from a `queue`; each is an `exchange` of two
//! byte streams over a `layout` of segments.

mod connect;
mod dial;
mod doorway;
mod exchange;
mod frame;
mod join;
mod layout;
mod link;
mod member;
mod pump;
mod queue;
mod wake;
mod wire;

use std::fmt;
use std::io;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use convoy_common::ids::Rank;

use crate::abort::{AbortHandle, Wake};
use crate::buffer::SharedBuffer;
use crate::collective::{Collective, OpTag, ReadyEvent, Ticket};
use crate::element::ReduceOp;
use crate::error::{CollectiveError, Failure};

use join::Join;
use pump::Links;
use queue::Queue;
use wake::WakeEvent;

pub use member::{Identity, Peer, RingListener};

/// One rank's part of a ring over TCP. Dropping it closes the connections, which breaks the ring for the others unless
/// they are through with it, and gives all lent buffers back.
pub struct TcpRing {
    me: Identity,
    queue: Arc<Queue>,
    /// None in a ring of one.
    thread: Option<JoinHandle<()>>,
}

impl TcpRing {
    /// Connects to `next` and waits for `previous`, both of whom must prove that they know the listener's cluster key if it
    /// has one, until both are there, `limit` has passed, or `abort` is used. A ring
    /// of one needs neither: both are ignored then. Blocks the calling thread.
    ///
    /// The listener refuses all others, and any other job, attempt, incarnation, rank or world, with both sides' values in
    /// both sides' errors, and goes on waiting. A neighbour that still builds an older attempt is tried again.
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
        check_neighbours(&me, next, previous)?;
        if let Some(error) = abort.error() {
            return Err(error);
        }
        let wake = Arc::new(
            WakeEvent::new().map_err(|source| system("make an event for the ring", source))?,
        );
        let queue = Arc::new(Queue::new(Arc::clone(&wake), abort));
        if me.world == 1 {
            return Ok(Self {
                me,
                queue,
                thread: None,
            });
        }
        let sleeper: Weak<WakeEvent> = Arc::downgrade(&wake);
        queue.abort_handle().attach(sleeper as Weak<dyn Wake>);
        let join = Join::new(
            listener,
            &me,
            (next, previous),
            limit,
            queue.abort_handle(),
            &wake,
        );
        let links = join.run()?;
        let thread = spawn(me.clone(), links, Arc::clone(&queue))?;
        Ok(Self {
            me,
            queue,
            thread: Some(thread),
        })
    }
}

impl Collective for TcpRing {
    fn submit(
        &self,
        buffer: Arc<dyn SharedBuffer>,
        op: ReduceOp,
        tag: OpTag,
        ready: ReadyEvent,
    ) -> Result<Ticket, CollectiveError> {
        match ready {
            ReadyEvent::Immediate if self.thread.is_none() => self.queue.submit_alone(),
            ReadyEvent::Immediate => self.queue.submit(buffer, op, tag),
        }
    }

    fn wait(&self, ticket: Ticket) -> Result<(), CollectiveError> {
        self.queue.wait(ticket)
    }

    fn abort_handle(&self) -> AbortHandle {
        self.queue.abort_handle().clone()
    }

    fn rank(&self) -> Rank {
        self.me.rank
    }

    fn world(&self) -> u32 {
        self.me.world
    }
}

impl Drop for TcpRing {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            // A panic there has failed the queue already.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for TcpRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpRing")
            .field("me", &self.me)
            .finish_non_exhaustive()
    }
}

fn spawn(me: Identity, links: Links, queue: Arc<Queue>) -> Result<JoinHandle<()>, CollectiveError> {
    let name = format!("ring-{}", me.attempt);
    let run = move || pump::run(me, links, queue);
    std::thread::Builder::new()
        .name(name)
        .spawn(run)
        .map_err(|source| system("start the ring's thread", source))
}

fn check_neighbours(me: &Identity, next: Peer, previous: Peer) -> Result<(), CollectiveError> {
    let Identity { rank, world, .. } = *me;
    let invalid = |reason: String| Err(Failure::InvalidRing { reason }.into());
    if rank.0 >= world {
        return invalid(format!("rank {rank} is not below the world of {world}"));
    }
    let expected = (
        Rank((rank.0 + 1) % world),
        Rank((rank.0 + world - 1) % world),
    );
    if world > 1 && (next.rank, previous.rank) != expected {
        return invalid(format!(
            "the neighbours of rank {rank} of {world} are {} and {}, not {} and {}",
            expected.0, expected.1, next.rank, previous.rank
        ));
    }
    Ok(())
}

fn system(operation: &str, source: io::Error) -> CollectiveError {
    Failure::System {
        operation: operation.to_owned(),
        source,
    }
    .into()
}
