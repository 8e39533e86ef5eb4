//! Machines come, come back and go.

use std::collections::BTreeSet;

use convoy_common::ids::NodeId;
use convoy_common::limits::MAX_SLOTS;

use super::Cluster;
use crate::command::Outcome;
use crate::job::{Obituary, WorkerProcess};
use crate::limits::MAX_RETIRED_AGENTS;
use crate::node::{AgentIncarnation, Node, NodeState};
use crate::refusal::Refusal;

impl Cluster {
    pub(super) fn register_node(
        &mut self,
        id: NodeId,
        incarnation: AgentIncarnation,
        slots: u32,
        advertised_host: String,
    ) -> Result<Outcome, Refusal> {
        if slots == 0 || slots > MAX_SLOTS {
            return Err(Refusal::SlotsOutOfRange {
                node: id,
                slots,
                most: MAX_SLOTS,
            });
        }
        let mut retired = BTreeSet::new();
        if let Some(known) = self.nodes.get_mut(&id) {
            if known.incarnation == incarnation {
                let was_alive = known.is_alive();
                known.state = NodeState::Alive;
                return Ok(if was_alive {
                    Outcome::Unchanged
                } else {
                    Outcome::Done
                });
            }
            if known.retired.contains(&incarnation) {
                let current = known.incarnation;
                return Err(Refusal::AgentReplaced {
                    node: id,
                    given: incarnation,
                    current,
                });
            }
            let old = known.incarnation;
            retired = std::mem::take(&mut known.retired);
            if retired.len() >= MAX_RETIRED_AGENTS {
                retired.pop_first();
            }
            retired.insert(old);
            self.end_workers_of(&id, old, incarnation);
        }
        let state = NodeState::Alive;
        self.nodes.insert(
            id,
            Node {
                incarnation,
                slots,
                advertised_host,
                state,
                retired,
            },
        );
        Ok(Outcome::Done)
    }

    /// Workers die with their agent, so a new life of the agent proves that the old one's workers are gone.
    fn end_workers_of(&mut self, node: &NodeId, old: AgentIncarnation, new: AgentIncarnation) {
        let workers = self
            .jobs
            .values_mut()
            .flat_map(|job| job.workers.values_mut());
        for worker in workers.filter(|worker| worker.node == *node && worker.is_live()) {
            worker.process = WorkerProcess::Ended(Obituary {
                pid: worker.pid(),
                how: format!("ended with its agent: agent incarnation {old} was replaced by {new}"),
                clean: false,
                last_lines: Vec::new(),
                log_path: worker.log_path().to_owned(),
            });
        }
    }

    pub(super) fn node_lost(
        &mut self,
        id: &NodeId,
        incarnation: AgentIncarnation,
        reason: String,
    ) -> Result<Outcome, Refusal> {
        let Some(node) = self.nodes.get_mut(id) else {
            return Err(Refusal::UnknownNode { node: id.clone() });
        };
        if node.incarnation != incarnation {
            let current = node.incarnation;
            return Err(Refusal::AgentReplaced {
                node: id.clone(),
                given: incarnation,
                current,
            });
        }
        if !node.is_alive() {
            return Ok(Outcome::Unchanged);
        }
        node.state = NodeState::Lost { reason };
        Ok(Outcome::Done)
    }
}
