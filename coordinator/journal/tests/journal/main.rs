//! The log and snapshots as their users see them, on a simulated disk.
#![expect(clippy::unwrap_used, reason = "a test that can't go on should panic")]

mod crashes;
mod damage;
mod fixture;
mod full;
mod golden;
mod log;
mod model;
mod recovery;
