//! Machines that offer worker slots.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// One life of an agent process: a random number that it draws at its start, so it can only be told apart, not ordered.
pub type AgentIncarnation = u64;

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// The life of the agent that speaks for it.
    pub incarnation: AgentIncarnation,
    /// Workers that it can run at the same time.
    pub slots: u32,
    /// Address that other nodes reach its workers at.
    pub advertised_host: String,
    /// Whether new workers may be placed on it.
    pub state: NodeState,
    /// Lives of its agent that were replaced; one that comes back is refused.
    pub retired: BTreeSet<AgentIncarnation>,
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
