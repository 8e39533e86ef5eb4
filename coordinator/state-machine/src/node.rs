//! Machines that offer worker slots.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// One life of an agent process: a random number that it draws at its start, so it can only be told apart, not ordered.
pub type AgentIncarnation = u64;

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// The life of the agent that speaks for it.
    pub incarnation: AgentIncarnation,
    /// What that agent offers.
    pub offer: NodeOffer,
    /// Whether new workers may be placed on it.
    pub state: NodeState,
    /// Lives of its agent that were replaced; one that comes back is refused.
    pub retired: BTreeSet<AgentIncarnation>,
}

/// What an agent offers, and what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeOffer {
    /// Device slots: workers that it can run at the same time, each with a device of its own.
    pub slots: u32,
    /// Address that other nodes reach its workers at.
    pub advertised_host: String,
    /// What its owner says about it, for people and tools.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// How the agent's build names itself.
    #[serde(default)]
    pub build: String,
    /// The protocol that the agent speaks.
    #[serde(default)]
    pub protocol_version: u32,
    /// Bytes of memory that each worker may use; none leaves it to the machine.
    #[serde(default)]
    pub worker_memory_bytes: Option<u64>,
}

/// Whether a node can be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeState {
    /// Its agent is heard.
    Alive,
    /// Its agent is not; workers that were running may still be.
    Lost {
        /// One sentence.
        reason: String,
    },
}

impl Node {
    /// Whether new workers may be placed on it.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        match self.state {
            NodeState::Alive => true,
            NodeState::Lost { .. } => false,
        }
    }
}
