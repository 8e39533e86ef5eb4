//! Machines come, come back and go.

use std::collections::BTreeSet;

use convoy_common::ids::{NodeId, WorkerRef};
use convoy_common::limits::MAX_SLOTS;

use super::Cluster;
use crate::command::{AgentRef, Answer, Outcome};
use crate::job::Obituary;
use crate::limits::{MAX_LABELS, MAX_NODES, MAX_RETIRED_AGENTS};
use crate::node::{AgentIncarnation, Node, NodeOffer, NodeState};
use crate::refusal::Refusal;
use crate::text::{Text, cut_reason};

impl Cluster {
    pub(super) fn register_node(&mut self, agent: AgentRef, offer: NodeOffer) -> Answer {
        check_offer(&agent.node, &offer)?;
        match self.nodes.get(&agent.node) {
            None => self.add_node(agent, offer),
            Some(known) if known.incarnation == agent.incarnation => {
                Ok(self.come_back(&agent, offer))
            }
            Some(known) if known.retired.contains(&agent.incarnation) => {
                Err(replaced(agent, known.incarnation))
            }
            Some(known) => {
                let (old, retired) = (known.incarnation, known.retired.clone());
                Ok(self.replace_agent(agent, offer, old, retired))
            }
        }
    }

    fn add_node(&mut self, agent: AgentRef, offer: NodeOffer) -> Answer {
        let nodes = self.nodes.len();
        if nodes >= MAX_NODES && !self.forget_a_lost_node() {
            let node = agent.node;
            return Err(Refusal::TooManyNodes { node, nodes });
        }
        let AgentRef { node, incarnation } = agent;
        let retired = BTreeSet::new();
        self.nodes.insert(node, alive(incarnation, offer, retired));
        Ok(Outcome::Done)
    }

    /// The first one by id that has no workers; says whether there was one.
    fn forget_a_lost_node(&mut self) -> bool {
        let is_left = |id: &NodeId| self.jobs.holders_on(id).next().is_none();
        let found = self
            .nodes
            .iter()
            .find(|(id, node)| !node.is_alive() && is_left(id))
            .map(|(id, _)| id.clone());
        found.is_some_and(|id| self.nodes.remove(&id))
    }

    /// The same life again: its workers live on.
    fn come_back(&mut self, agent: &AgentRef, offer: NodeOffer) -> Outcome {
        let known = self.nodes.get(&agent.node);
        if known.is_some_and(|known| known.is_alive() && known.offer == offer) {
            return Outcome::Unchanged;
        }
        if let Some(known) = self.nodes.get_mut(&agent.node) {
            known.state = NodeState::Alive;
            known.offer = offer;
        }
        Outcome::Done
    }

    fn replace_agent(
        &mut self,
        agent: AgentRef,
        offer: NodeOffer,
        old: AgentIncarnation,
        mut retired: BTreeSet<AgentIncarnation>,
    ) -> Outcome {
        let AgentRef { node, incarnation } = agent;
        if retired.len() >= MAX_RETIRED_AGENTS {
            retired.pop_first();
        }
        retired.insert(old);
        self.end_workers_of(&node, old, incarnation);
        self.nodes.insert(node, alive(incarnation, offer, retired));
        Outcome::Done
    }

    /// Workers die with their agent, so a new life of the agent proves that the old one's workers are gone.
    fn end_workers_of(&mut self, node: &NodeId, old: AgentIncarnation, new: AgentIncarnation) {
        let holders = self.jobs.holders_on(node);
        let workers: Vec<WorkerRef> = holders.map(|(_, worker)| worker.clone()).collect();
        for worker in workers {
            let Ok((_, assigned)) = self.current_worker(&worker) else {
                continue;
            };
            let obituary = Obituary {
                pid: assigned.pid(),
                how: format!("ended with its agent: agent incarnation {old} was replaced by {new}"),
                clean: false,
                last_lines: Vec::new(),
                log_path: assigned.log_path().to_owned(),
            };
            self.jobs.end_worker(&worker, obituary);
        }
    }

    pub(super) fn node_lost(&mut self, agent: &AgentRef, reason: String) -> Answer {
        if !self.current_agent(agent)?.is_alive() {
            return Ok(Outcome::Unchanged);
        }
        let reason = cut_reason(reason);
        if let Some(node) = self.nodes.get_mut(&agent.node) {
            node.state = NodeState::Lost { reason };
        }
        Ok(Outcome::Done)
    }

    /// The machine of an agent that speaks for it now.
    pub(super) fn current_agent(&self, agent: &AgentRef) -> Result<&Node, Refusal> {
        let Some(node) = self.nodes.get(&agent.node) else {
            let node = agent.node.clone();
            return Err(Refusal::UnknownNode { node });
        };
        if node.incarnation != agent.incarnation {
            return Err(replaced(agent.clone(), node.incarnation));
        }
        Ok(node)
    }
}

fn alive(
    incarnation: AgentIncarnation,
    offer: NodeOffer,
    retired: BTreeSet<AgentIncarnation>,
) -> Node {
    Node {
        incarnation,
        offer,
        state: NodeState::Alive,
        retired,
    }
}

fn replaced(agent: AgentRef, current: AgentIncarnation) -> Refusal {
    Refusal::AgentReplaced {
        node: agent.node,
        given: agent.incarnation,
        current,
    }
}

fn check_offer(node: &NodeId, offer: &NodeOffer) -> Result<(), Refusal> {
    let slots = offer.slots;
    if slots == 0 || slots > MAX_SLOTS {
        return Err(Refusal::SlotsOutOfRange {
            node: node.clone(),
            slots,
            most: MAX_SLOTS,
        });
    }
    let labels = offer.labels.len();
    if labels > MAX_LABELS {
        let node = node.clone();
        return Err(Refusal::TooManyLabels { node, labels });
    }
    for (key, value) in &offer.labels {
        Text::LabelKey.check(key)?;
        Text::LabelValue.check(value)?;
    }
    Text::Address.check(&offer.advertised_host)?;
    Text::Build.check(&offer.build)
}
