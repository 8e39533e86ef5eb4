//! What a process was told about strangers.

use std::net::IpAddr;
use std::path::Path;

use convoy_common::listen::{Guard, OpenToStrangers};

use crate::file::KeyFileError;
use crate::key::ClusterKey;

/// What a process was told about strangers: `--cluster-key FILE`, `--insecure`, or nothing.
#[derive(Clone, Debug, Default)]
pub enum Access {
    /// Peers prove that they know the cluster key, and so does this process.
    Keyed(ClusterKey),
    /// Everyone is let in; someone said so.
    Insecure,
    /// Nothing was said: only this machine is let in.
    #[default]
    Loopback,
}

impl Access {
    /// Reads the key, if one is named. A key counts more than `insecure`.
    ///
    /// # Errors
    /// If the file is no good as a key, with what to do about it.
    pub fn open(cluster_key: Option<&Path>, insecure: bool) -> Result<Self, KeyFileError> {
        Ok(match (cluster_key, insecure) {
            (Some(path), _) => Self::Keyed(ClusterKey::read(path)?),
            (None, true) => Self::Insecure,
            (None, false) => Self::Loopback,
        })
    }

    /// Whether a listener on `address` is safe, or meant to be as it is. Every listener asks this first.
    ///
    /// # Errors
    /// If it is not, with what to do about it.
    pub fn check_listen(&self, address: IpAddr) -> Result<(), OpenToStrangers> {
        self.guard().check(address)
    }

    /// How strangers are kept out.
    #[must_use]
    pub fn guard(&self) -> Guard {
        match self {
            Self::Keyed(_) => Guard::ClusterKey,
            Self::Insecure => Guard::Insecure,
            Self::Loopback => Guard::Loopback,
        }
    }

    /// The key, if there is one.
    #[must_use]
    pub fn key(&self) -> Option<&ClusterKey> {
        match self {
            Self::Keyed(key) => Some(key),
            Self::Insecure | Self::Loopback => None,
        }
    }
}
