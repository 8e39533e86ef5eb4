//! Where a process may listen: off loopback only with a cluster key, or where someone said that everyone may come in.

use std::net::IpAddr;

/// How a process tells its peers from strangers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Whoever connects proves that it knows the cluster key.
    ClusterKey,
    /// Everyone is let in, and someone said so: `--insecure`.
    Insecure,
    /// Nothing was said: only this machine is let in.
    Loopback,
}

/// Strangers could come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{address} can be reached from other machines, and whoever reaches it could run jobs here: give every process of \
     the cluster the same --cluster-key FILE, or say --insecure to let everyone in, or listen on 127.0.0.1 or [::1]"
)]
pub struct OpenToStrangers {
    /// Where it was to listen.
    pub address: IpAddr,
}

impl Guard {
    /// What `--cluster-key` and `--insecure` say together.
    #[must_use]
    pub fn of(has_key: bool, insecure: bool) -> Self {
        match (has_key, insecure) {
            (true, _) => Self::ClusterKey,
            (false, true) => Self::Insecure,
            (false, false) => Self::Loopback,
        }
    }

    /// Whether a listener on `address` is safe, or meant to be as it is.
    ///
    /// # Errors
    /// If it is not.
    pub fn check(self, address: IpAddr) -> Result<(), OpenToStrangers> {
        match self {
            Self::ClusterKey | Self::Insecure => Ok(()),
            Self::Loopback if address.to_canonical().is_loopback() => Ok(()),
            Self::Loopback => Err(OpenToStrangers { address }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(guard: Guard, address: &str) -> Result<(), OpenToStrangers> {
        guard.check(address.parse().unwrap())
    }

    #[test]
    fn loopback_needs_nothing() {
        for address in ["127.0.0.1", "127.3.2.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(check(Guard::Loopback, address), Ok(()), "{address}");
        }
    }

    #[test]
    fn everything_else_needs_a_key_or_a_word() {
        for address in ["0.0.0.0", "::", "10.0.0.1", "fd00::1", "::ffff:10.0.0.1"] {
            let refused = check(Guard::Loopback, address).unwrap_err().to_string();
            assert!(refused.starts_with(address), "{refused}");
            assert!(
                refused.contains("--cluster-key FILE") && refused.contains("--insecure"),
                "{refused}"
            );
            assert_eq!(check(Guard::ClusterKey, address), Ok(()));
            assert_eq!(check(Guard::Insecure, address), Ok(()));
        }
    }

    #[test]
    fn a_key_counts_more_than_insecure() {
        assert_eq!(Guard::of(true, true), Guard::ClusterKey);
        assert_eq!(Guard::of(false, true), Guard::Insecure);
        assert_eq!(Guard::of(false, false), Guard::Loopback);
    }
}
