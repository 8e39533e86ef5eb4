//! Consensus, journal and state machine of the coordinator under one seeded scheduler: simulated time, network, disks,
//! crashes, changes of members. Nothing here waits, and a seed gives the same course of events every time.
//!
//! `CONVOY_SIMULATION_SEED=N` runs one schedule and shows what happened, `CONVOY_SIMULATION_SCHEDULES=N` runs so many of
//! each kind, `CONVOY_SIMULATION_BASE=N` other ones.

mod checks;
mod mutations;
mod network;
mod node;
mod plan;
mod schedules;
mod state;
mod world;
