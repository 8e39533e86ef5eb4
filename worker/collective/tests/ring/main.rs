//! Rings over loopback: what they compute, whom they let in, and how they end.

mod breaking;
mod cable;
mod fencing;
mod sums;
mod world;
