//! The coordinator: consensus, leader loop and API around the pure state machine.
//!
//! One task owns the state and is driven by one closed enum of events ([`leader`]); it never waits for the network.
//! Peers talk to it through sessions with bounded queues ([`api`]): whoever is too slow is dropped with a reason.
//!
//! **Boundary:** commands are ordered and kept by [`consensus`] alone; the leader cannot tell how.
//! **Boundary:** protobuf types appear in [`api`] alone.

mod api;
mod config;
mod consensus;
mod coordinator;
mod leader;

pub use config::{EmbeddedConfig, Timings};
pub use coordinator::{Coordinator, StartError};
