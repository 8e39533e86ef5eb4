//! Numbers that nobody can foresee, from the standard library's own source.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A random number, another one each time.
pub(crate) fn random_u64() -> u64 {
    // Every RandomState has keys of its own; the first pair of a thread comes from the operating system.
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}
