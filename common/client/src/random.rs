//! Randomness for names and jitter; nothing secret and nothing that training depends on.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A fresh random number: the incarnation of an agent, the id of a client.
#[must_use]
pub fn random_u64() -> u64 {
    // Every RandomState has keys of its own; the first pair of a thread comes from the operating system.
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}
