//! Proofs of the cluster key on gRPC calls, both ways.
//!
//! A client sends `convoy-auth: v1:<unix seconds>:<nonce>:<proof>` with every call, the proof being over the method, the
//! time and the nonce. A server answers a good one with `convoy-proof: v1:<proof>` over that proof, so that the client knows
//! that it speaks with its own cluster, whose directives it obeys. [`Authenticated`] is the client's side around a channel,
//! [`AccessLayer`] the server's side around all its services.
//!
//! Whoever could read a call on the way could send another one of the same method while the time in it is fresh; see
//! `deploy/decisions/0004-cluster-key.md`.

mod client;
mod server;
mod token;

#[cfg(test)]
mod tests;

pub use client::Authenticated;
pub use server::{AccessLayer, Guarded};

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Of the request.
const AUTH: &str = "convoy-auth";

/// Of the response.
const PROOF: &str = "convoy-proof";

/// Clocks of one cluster may differ by so much, and so long a call that was overheard can be repeated. Kerberos has the
/// same bound for the same reason.
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(300);

/// A clock before 1970 is wrong by so much that the other end will say so.
fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
