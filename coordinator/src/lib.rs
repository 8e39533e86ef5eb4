//! The coordinator: consensus, leader loop and API around the pure state machine.
//!
//! One task owns the state and is driven by one closed enum of events ([`leader`]); it never waits for network or disk.
//! Another owns this coordinator's replica of the log ([`replication`]). All of a coordinator shares one thread
//! ([`coordinator`](mod@coordinator)). Peers talk to the leader through sessions with
//! bounded queues ([`api`]): whoever is too slow is dropped with a reason.
//!
//! **Boundary:** the leader loop sees the log through [`consensus`] alone.
//! **Boundary:** protobuf types appear in [`api`] alone, and those of Raft in [`replication`].

mod api;
mod config;
mod consensus;
mod coordinator;
mod leader;
mod random;
mod replication;

pub use config::{Begin, CoordinatorSettings, ReplicaSettings, Timings};
pub use convoy_consensus::{ReplicaId, ReplicaLimits};
pub use coordinator::{Coordinator, StartError};
pub use replication::ReplicationError;

/// How this build names itself.
const BUILD: &str = env!("CARGO_PKG_VERSION");
