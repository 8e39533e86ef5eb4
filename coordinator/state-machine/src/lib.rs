//! The coordinator's replicated state and what is decided from it; pure.
//!
//! [`Cluster::apply`] is the only way to change the state, and it is deterministic: the same commands give equal states
//! on every replica. What is owed to the outside is computed from the state by [`actions`], never emitted by `apply`, so
//! that a new leader carries on where the old one stopped. [`membership`], [`slices`] and [`cause`] hold what a leader
//! knows beyond the state and may lose: they end in commands, which `apply` checks again.
//!
//! The state is kept in logs and snapshots in the form that [`codec`] gives it; a clone of it is cheap, so that a snapshot
//! can be written beside the work.
//!
//! **Invariant:** no clock, no randomness, no I/O, no threads, no hash maps; `clippy.toml` beside this crate enforces it.
//!
//! **Boundary:** nothing here knows of protobuf, sockets or consensus.

pub mod actions;
pub mod cause;
pub mod cluster;
pub mod codec;
pub mod command;
pub mod job;
pub mod limits;
pub mod membership;
pub mod node;
pub mod placement;
pub mod records;
pub mod refusal;
pub mod replica;
pub mod shared_map;
pub mod slices;
pub mod spec;
pub mod text;
pub mod time;
pub mod version;
pub mod view;

#[cfg(test)]
mod tests;

pub use cluster::Cluster;
pub use command::{Answer, Command, Envelope, Outcome};
pub use refusal::Refusal;
