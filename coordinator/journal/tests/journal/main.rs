//! The log and snapshots as their users see them, on a simulated disk.

mod crashes;
mod damage;
mod fixture;
mod full;
mod golden;
mod log;
mod model;
mod recovery;
