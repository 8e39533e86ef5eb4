//! The key that all processes of a cluster share.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

/// Shorter secrets can be guessed.
pub(crate) const MIN_SECRET_BYTES: usize = 32;

/// 32 random bytes have fewer different values than this once in 10^15 keys; zeroes and a word repeated have always.
const MIN_DIFFERENT_BYTES: usize = 16;

/// BLAKE3 asks for contexts that are hard-coded, unique in the world, and say what the derived key is for.
#[cfg(feature = "grpc")]
const CALLS: &str = "convoy 2026-11-24 cluster key: gRPC calls v1";
const CONNECTIONS: &str = "convoy 2026-11-24 cluster key: connections v1";

/// The key that all processes of a cluster share. Clones are handles to one copy in memory, which is wiped with the last.
#[derive(Clone)]
pub struct ClusterKey {
    keys: Arc<Keys>,
}

/// One key per use, so that nothing said in one place means anything in another.
pub(crate) struct Keys {
    #[cfg(feature = "grpc")]
    pub(crate) calls: Zeroizing<[u8; 32]>,
    pub(crate) connections: Zeroizing<[u8; 32]>,
}

/// The secret is no good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeakKey {
    /// It can be guessed.
    #[error("it holds {bytes} bytes, at least {MIN_SECRET_BYTES} random ones are needed")]
    Short {
        /// Its length.
        bytes: usize,
    },
    /// Nobody drew it at random.
    #[error("it is not random: only {different} different values among {bytes} bytes")]
    NotRandom {
        /// Different values of bytes.
        different: usize,
        /// Its length.
        bytes: usize,
    },
}

impl ClusterKey {
    /// A key from at least 32 random bytes.
    ///
    /// # Errors
    /// If they are too few, or plainly not random.
    pub fn new(secret: &[u8]) -> Result<Self, WeakKey> {
        let bytes = secret.len();
        if bytes < MIN_SECRET_BYTES {
            return Err(WeakKey::Short { bytes });
        }
        let mut seen = [false; 256];
        secret
            .iter()
            .for_each(|byte| seen[usize::from(*byte)] = true);
        let different = seen.iter().filter(|seen| **seen).count();
        if different < MIN_DIFFERENT_BYTES {
            return Err(WeakKey::NotRandom { different, bytes });
        }
        Ok(Self {
            keys: Arc::new(Keys {
                #[cfg(feature = "grpc")]
                calls: Zeroizing::new(blake3::derive_key(CALLS, secret)),
                connections: Zeroizing::new(blake3::derive_key(CONNECTIONS, secret)),
            }),
        })
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_that_can_be_guessed_are_refused() {
        let refused = |secret: &[u8]| ClusterKey::new(secret).unwrap_err();
        assert_eq!(refused(&[7; 31]), WeakKey::Short { bytes: 31 });
        let zeroes = WeakKey::NotRandom {
            different: 1,
            bytes: 64,
        };
        assert_eq!(refused(&[0; 64]), zeroes);
        let repeated = b"password".repeat(8);
        assert!(matches!(refused(&repeated), WeakKey::NotRandom { .. }));
    }

    #[test]
    fn a_key_is_never_shown() {
        let key = ClusterKey::new(&std::array::from_fn::<u8, 32, _>(|at| at as u8)).unwrap();
        assert_eq!(format!("{key:?} {key:#?}"), "ClusterKey(..) ClusterKey(..)");
    }
}
