//! Who speaks: what a report must carry so that nobody's old words count.

use std::fmt;

use convoy_common::ids::{Attempt, Generation, NodeId, WorkerRef};
use serde::{Deserialize, Serialize};

use crate::node::AgentIncarnation;

/// A worker that reports about its work in a generation: job, incarnation, generation and attempt are all checked when the
/// command is applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// Which life of which worker of which job.
    pub worker: WorkerRef,
    /// The generation it worked in.
    pub generation: Generation,
    /// The attempt that formed that generation.
    pub attempt: Attempt,
}

/// One life of a node's agent, as it reports about its machine and its workers' processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRef {
    /// Which machine.
    pub node: NodeId,
    /// Which life of its agent.
    pub incarnation: AgentIncarnation,
}

impl fmt::Display for AgentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, incarnation } = self;
        write!(f, "agent of node {node} (incarnation {incarnation})")
    }
}
