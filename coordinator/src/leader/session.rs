//! The leader's end of a session: a bounded queue of directives, and a way to end it with a reason.

use convoy_state_machine::actions::Owed;
use convoy_state_machine::node::AgentIncarnation;
use futures::future::{Fuse, FutureExt};
use tokio::sync::{mpsc, oneshot};

use super::{AgentDirective, DesiredWorker, Refused, WorkerDirective};

/// Directives that a peer may leave unread. A job's whole life takes a dozen; more are owed only to a peer that hangs.
pub(crate) const QUEUED_DIRECTIVES: usize = 64;

/// Names a session in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SessionId(pub(crate) u64);

/// The leader's end. Dropped, it lets the peer read what is queued and then ends the session.
#[derive(Debug)]
pub(crate) struct Outbound<D> {
    directives: mpsc::Sender<D>,
    close: oneshot::Sender<Refused>,
}

/// The network's end.
#[derive(Debug)]
pub(crate) struct Outgoing<D> {
    directives: mpsc::Receiver<D>,
    close: Fuse<oneshot::Receiver<Refused>>,
    /// Dropped with this: tells the session's reader that nobody is served any more.
    _open: oneshot::Sender<()>,
}

/// What comes next on a session.
pub(crate) enum Next<D> {
    Directive(D),
    Closed(Refused),
    End,
}

/// Both ends of a session's outbound half, and what resolves once the network's end is gone.
pub(crate) fn channel<D>() -> (Outbound<D>, Outgoing<D>, oneshot::Receiver<()>) {
    let (sender, directives) = mpsc::channel(QUEUED_DIRECTIVES);
    let (close, closed) = oneshot::channel();
    let (open, gone) = oneshot::channel();
    let outbound = Outbound {
        directives: sender,
        close,
    };
    (
        outbound,
        Outgoing {
            directives,
            close: closed.fuse(),
            _open: open,
        },
        gone,
    )
}

/// The peer has too many unread directives, or is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsent {
    Slow,
    Gone,
}

impl<D> Outbound<D> {
    pub(crate) fn send(&self, directive: D) -> Result<(), Unsent> {
        self.directives
            .try_send(directive)
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => Unsent::Slow,
                mpsc::error::TrySendError::Closed(_) => Unsent::Gone,
            })
    }

    /// Ends the session at once; the peer is told why.
    pub(crate) fn close(self, why: Refused) {
        let _ = self.close.send(why);
    }
}

impl<D> Outgoing<D> {
    pub(crate) async fn next(&mut self) -> Next<D> {
        tokio::select! {
            biased;
            Ok(why) = &mut self.close => Next::Closed(why),
            directive = self.directives.recv() => directive.map_or(Next::End, Next::Directive),
        }
    }
}

/// An agent that is attached.
#[derive(Debug)]
pub(super) struct AgentSession {
    pub(super) id: SessionId,
    pub(super) incarnation: AgentIncarnation,
    pub(super) outbound: Outbound<AgentDirective>,
    /// What it was told to run, if it was told.
    pub(super) desired: Option<Vec<DesiredWorker>>,
}

/// A worker that is attached.
#[derive(Debug)]
pub(super) struct WorkerSession {
    pub(super) id: SessionId,
    pub(super) outbound: Outbound<WorkerDirective>,
    pub(super) data_address: String,
    /// How its build names itself.
    pub(super) build: String,
    /// What it was told in this session and is still owed.
    pub(super) told: Vec<Owed>,
}
