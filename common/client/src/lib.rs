//! The client of the coordinator used by the command line, agent and worker: finds it, calls it, keeps a session.
//!
//! **Boundary:** speaks the wire protocol and knows nothing of what the messages mean.

mod address;
mod backoff;
mod connect;
mod error;
mod jobs;
mod random;
mod session;
mod side;

#[cfg(test)]
mod tests;

pub use address::CoordinatorAddress;
pub use error::ClientError;
pub use jobs::{JobWatch, JobsClient};
pub use random::random_u64;
pub use session::{
    AgentSession, HEARTBEAT_PERIOD, Reporter, Session, SessionClosed, WorkerSession,
};
pub use side::{AgentSide, Side, WorkerSide};
