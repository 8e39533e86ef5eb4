//! Rings over loopback: what they compute, whom they let in, and how they end.
#![expect(clippy::unwrap_used, reason = "a test that can not go on should panic")]

mod breaking;
mod cable;
mod fencing;
mod keyed;
mod sums;
mod world;
