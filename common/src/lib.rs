//! What every process shares: ids, addresses, the job spec and configuration files, which sample comes when, and limits.
//!
//! **Invariant:** pure. No clock, no randomness, no I/O, no threads; `clippy.toml` beside this crate enforces it.

pub mod address;
pub mod config;
pub mod document;
pub mod ids;
pub mod limits;
pub mod listen;
mod nearest;
pub mod order;
pub mod partition;
pub mod schedule;
pub mod spec;
pub mod summary;

pub use nearest::nearest;

#[cfg(test)]
mod property_tests;
