//! Replication: the driver that owns this coordinator's replica of the log, and its ways to the others.
//!
//! The driver takes everything that waits for it and then does what is due at once, so that all of it shares one fsync.
//! What comes of it goes to the leader loop as [`LogEvent`]s, in order. Messages to others go through one bounded queue
//! for each; one that does not fit is dropped, which Raft bears, and the replica is told that its peer is unreachable.
//!
//! **Invariant:** a replica that can't go on ends its process, with the reason ([`failure`]); it never tries again.
//! **Boundary:** the only module that knows the messages of Raft on the wire.

mod carry;
mod dial;
mod directory;
mod driver;
mod failure;
mod log;
mod outbox;
mod peer;
mod probe;
mod request;
mod service;
mod snapshot_files;
mod start;
mod streams;

pub(crate) use directory::Directory;
pub(crate) use failure::Failure;
pub(crate) use service::{MAX_DELIVERY_BYTES, RaftService};
pub(crate) use start::{ReplicaHandle, Replication, StartReplication, Started};

pub use start::ReplicationError;

#[cfg(doc)]
use crate::consensus::LogEvent;
