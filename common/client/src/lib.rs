//! The client of the coordinators used by the command line, agent and worker: finds the leader, calls it, keeps a session.
//!
//! [`Endpoints`] is any list of coordinators. [`Caller`] calls whoever leads, [`Session`] is one session, [`Link`] one that
//! is opened again, at the new leader if there is another. How the leader is searched for is in `search`, purely.
//!
//! **Boundary:** speaks the wire protocol and knows nothing of what the messages mean.
//!
//! **Invariant:** a call that changes something runs once, however often it is tried: it carries the number of its client
//! and its own, and a client has one of them under way at a time.

mod answers;
mod backoff;
mod caller;
mod connection;
mod coordinators;
mod endpoints;
mod error;
mod find;
mod jobs;
mod link;
mod logs;
mod random;
mod search;
mod session;
mod side;
mod watch;

#[cfg(test)]
mod tests;

pub use answers::EndpointAnswers;
pub use caller::{Caller, Origin};
pub use connection::Connection;
pub use convoy_common::address::{CoordinatorAddress, InvalidAddress};
pub use coordinators::CoordinatorsClient;
pub use endpoints::{Endpoints, InvalidEndpoints};
pub use error::{ClientError, Unreachable};
pub use jobs::JobsClient;
pub use link::{Link, LinkEvent};
pub use logs::LogFrom;
pub use random::random_u64;
pub use session::{
    AgentSession, HEARTBEAT_PERIOD, Reporter, Session, SessionClosed, WorkerSession,
};
pub use side::{AgentSide, Side, WorkerSide};
pub use watch::JobWatch;
