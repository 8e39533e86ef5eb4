//! Coordinators, as the state knows them: where they can be reached and what they support. Who votes is not here.

use serde::{Deserialize, Serialize};

use crate::version::ClusterVersion;

/// One coordinator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// `host:port` at which other coordinators reach it.
    pub raft_address: String,
    /// `host:port` at which clients, agents and workers reach it.
    pub api_address: String,
    /// How its build names itself.
    pub build: String,
    /// The newest cluster version that its build knows.
    pub supports: ClusterVersion,
}
