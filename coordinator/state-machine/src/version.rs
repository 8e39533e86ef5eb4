//! The committed cluster version: which commands may be used, so that a rolling upgrade can't make replicas differ.
//!
//! Replicas of two builds apply one log. A command that only the newer build knows, or that it treats in a new way, is
//! therefore refused by both until the cluster version that brings it is committed, which asks that every replica
//! supports it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A set of commands and their meaning; each contains the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterVersion(pub u32);

impl ClusterVersion {
    /// What a new cluster begins with.
    pub const FIRST: Self = Self(1);

    /// The newest one that this build knows.
    pub const NEWEST: Self = Self(1);
}

impl Default for ClusterVersion {
    fn default() -> Self {
        Self::FIRST
    }
}

impl fmt::Display for ClusterVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is committed is beyond this build: a replica that went on would differ from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "cluster version {committed} is committed, this build knows {known} at most: start this replica with a newer build"
)]
pub struct BuildTooOld {
    /// What is committed.
    pub committed: ClusterVersion,
    /// [`ClusterVersion::NEWEST`] of this build.
    pub known: ClusterVersion,
}

impl ClusterVersion {
    /// Whether this build can go on under this version.
    ///
    /// # Errors
    /// If it can't: whoever applies committed commands must stop then.
    pub fn check_known(self) -> Result<(), BuildTooOld> {
        let (committed, known) = (self, Self::NEWEST);
        if committed > known {
            return Err(BuildTooOld { committed, known });
        }
        Ok(())
    }
}
