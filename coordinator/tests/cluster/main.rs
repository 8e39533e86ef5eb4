//! Clusters of coordinators in this process, over real sockets and real folders.
#![expect(clippy::unwrap_used, reason = "a test that can't go on should panic")]

mod changes;
mod disks;
mod group;
mod introductions;
mod leaders;
mod proxy;
mod refusals;
