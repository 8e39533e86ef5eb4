//! Why a collective does not work.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use convoy_common::ids::Rank;
use convoy_common::listen::OpenToStrangers;

/// The error that broke a collective, shared by all calls that it fails.
#[derive(Clone, Debug)]
pub struct CollectiveError(Arc<Failure>);

impl CollectiveError {
    /// What happened.
    #[must_use]
    pub fn failure(&self) -> &Failure {
        &self.0
    }

    /// Whether both are one and the same event, not merely equal ones.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl From<Failure> for CollectiveError {
    fn from(failure: Failure) -> Self {
        Self(Arc::new(failure))
    }
}

impl fmt::Display for CollectiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&*self.0, f)
    }
}

/// Without a source: its text says that already, and whoever prints a chain would say it twice.
impl std::error::Error for CollectiveError {}

/// What broke a collective, or kept it from coming into being.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Someone used an [`AbortHandle`](crate::AbortHandle).
    #[error("aborted: {reason}")]
    Aborted {
        /// As given to the handle.
        reason: String,
    },
    /// A neighbour's connection ended.
    #[error("lost rank {rank} at {address} {during}: {how}")]
    PeerLost {
        /// Whose connection.
        rank: Rank,
        /// Where it was reached, or came from.
        address: String,
        /// What was going on.
        during: String,
        /// What the connection reported.
        how: io::Error,
    },
    /// A neighbour does something else than this rank.
    #[error("rank {rank} at {address} is out of step: it sends {theirs}, but here comes {ours}")]
    OutOfStep {
        /// Which neighbour.
        rank: Rank,
        /// Where it came from.
        address: String,
        /// The operation it sent.
        theirs: String,
        /// The operation of this rank.
        ours: String,
    },
    /// A neighbour sent what is no operation.
    #[error("rank {rank} at {address} sent no operation but {what}")]
    Garbled {
        /// Which neighbour.
        rank: Rank,
        /// Where it came from.
        address: String,
        /// What came instead.
        what: String,
    },
    /// The next rank did not let this one in.
    #[error("rank {rank} at {address} refused the connection: {reason}")]
    Refused {
        /// Who refused.
        rank: Rank,
        /// Where it was reached.
        address: SocketAddr,
        /// What differs, with the values of both sides.
        reason: String,
    },
    /// The ring was not closed in time.
    #[error("the ring was not closed within {limit:?}: {missing}")]
    NotConnected {
        /// How long was waited.
        limit: Duration,
        /// Who is missing, and what was last heard of them.
        missing: String,
    },
    /// Members and ranks do not fit together.
    #[error("no such ring: {reason}")]
    InvalidRing {
        /// What does not fit.
        reason: String,
    },
    /// More operations in flight than are ever needed; breaks nothing.
    #[error("{limit} operations are in flight already: wait for some of them first")]
    TooManyInFlight {
        /// The limit.
        limit: usize,
    },
    /// A ticket that this collective did not give out; breaks nothing.
    #[error("ticket {ticket} is not from this collective, which has given out {submitted}")]
    ForeignTicket {
        /// Its number.
        ticket: u64,
        /// How many there are.
        submitted: u64,
    },
    /// A buffer that does not keep what its trait promises.
    #[error("the buffer of {operation} {what}")]
    InvalidBuffer {
        /// Whose buffer.
        operation: String,
        /// What it did.
        what: String,
    },
    /// The numbers came out wrong.
    #[error(
        "checksum all-reduce over {world} ranks failed: element {index} is {got}, expected {expected}"
    )]
    WrongChecksum {
        /// Ranks that took part.
        world: u32,
        /// The first wrong element.
        index: usize,
        /// What arrived.
        got: i64,
        /// What should have.
        expected: i64,
    },
    /// Strangers could join a ring.
    #[error(transparent)]
    Open(OpenToStrangers),
    /// The operating system refused something.
    #[error("could not {operation}: {source}")]
    System {
        /// What was tried, with its subject.
        operation: String,
        /// Why not.
        source: io::Error,
    },
    /// The collective was dropped or its thread ended.
    #[error("the collective is closed: {reason}")]
    Closed {
        /// How that came.
        reason: String,
    },
}
