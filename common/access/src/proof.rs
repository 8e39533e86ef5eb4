//! Proving to the other end of a connection that one knows the key.

use std::fmt;
use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

use crate::key::ClusterKey;

/// Bytes of a [`Nonce`].
pub const NONCE_BYTES: usize = 32;

/// Bytes of a [`Proof`].
pub const PROOF_BYTES: usize = 32;

/// A number drawn for one connection, so that no proof of an earlier one means anything in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce(pub [u8; NONCE_BYTES]);

impl Nonce {
    /// Draws one from the operating system.
    ///
    /// # Errors
    /// If the system has no randomness to give, which it only lacks early while booting.
    pub fn fresh() -> io::Result<Self> {
        let mut bytes = [0; NONCE_BYTES];
        let filled = getrandom(&mut bytes[..], GetRandomFlags::empty())?;
        if filled != NONCE_BYTES {
            return Err(io::Error::other("the system gave too little randomness"));
        }
        Ok(Self(bytes))
    }
}

/// Which end of a connection proves; the two ends prove different things, so that neither can hand back what it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The end that connected.
    Dialer,
    /// The end that accepted.
    Listener,
}

/// What only who knows the key can compute. Compared in constant time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Proof(blake3::Hash);

impl Proof {
    /// From the wire.
    #[must_use]
    pub fn from_bytes(bytes: [u8; PROOF_BYTES]) -> Self {
        Self(blake3::Hash::from_bytes(bytes))
    }

    /// For the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; PROOF_BYTES] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof(..)")
    }
}

impl ClusterKey {
    /// Proves in `role` to know the key, over everything that both ends have said so far. It must hold a [`Nonce`] of each
    /// end: one's own makes the other's proof fresh.
    #[must_use]
    pub fn prove(&self, role: Role, transcript: &[&[u8]]) -> Proof {
        let role: &[u8] = match role {
            Role::Dialer => b"dialer",
            Role::Listener => b"listener",
        };
        let parts = std::iter::once(role).chain(transcript.iter().copied());
        Proof(keyed(&self.keys().connections, parts))
    }
}

/// The keyed hash of `parts`, each with its length before it, so that no two lists look alike.
pub(crate) fn keyed<'a>(key: &[u8; 32], parts: impl Iterator<Item = &'a [u8]>) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_keyed(key);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(first: u8) -> ClusterKey {
        let secret: [u8; 32] = std::array::from_fn(|at| first.wrapping_add(at as u8));
        ClusterKey::new(&secret).unwrap()
    }

    #[test]
    fn proof_depends_on_key_role_and_all_that_was_said() {
        let said: [&[u8]; 2] = [b"hello", b"nonce"];
        let proof = key(1).prove(Role::Dialer, &said);
        assert_eq!(proof, key(1).prove(Role::Dialer, &said));
        assert_ne!(proof, key(2).prove(Role::Dialer, &said));
        assert_ne!(proof, key(1).prove(Role::Listener, &said));
        assert_ne!(proof, key(1).prove(Role::Dialer, &[b"hello", b"other"]));
        assert_ne!(
            proof,
            key(1).prove(Role::Dialer, &[b"hellon", b"once"]),
            "the same bytes, cut elsewhere"
        );
        assert_ne!(
            proof,
            key(1).prove(Role::Dialer, &[b"hello", b"nonce", b""])
        );
    }

    #[test]
    fn proofs_survive_the_wire() {
        let proof = key(1).prove(Role::Dialer, &[b"x"]);
        assert_eq!(Proof::from_bytes(*proof.as_bytes()), proof);
    }

    #[test]
    fn no_nonce_is_drawn_twice() {
        assert_ne!(Nonce::fresh().unwrap(), Nonce::fresh().unwrap());
    }
}
