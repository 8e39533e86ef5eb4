//! Configuration files of the long-running processes, in TOML.
//!
//! **Invariant:** each struct is the only description of its file; [`crate::document`] checks a file against it, and flags
//! that say the same are turned into the same struct.

mod agent;
mod coordinator;
mod rules;
#[cfg(test)]
mod tests;

pub use agent::AgentConfig;
pub use coordinator::{CoordinatorConfig, PeerConfig, TimingsConfig};

pub use crate::document::{DocumentErrors as ConfigErrors, Place, Problem};
