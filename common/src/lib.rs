//! What every process shares: ids, the job spec, which sample comes when, and limits.
//!
//! **Invariant:** pure. No clock, no randomness, no I/O, no threads; `clippy.toml` beside this crate enforces it.

pub mod address;
pub mod document;
pub mod ids;
pub mod limits;
pub mod order;
pub mod partition;
pub mod schedule;
pub mod spec;
pub mod summary;

#[cfg(test)]
mod property_tests;
