//! Whoever changes the members: adds a new replica, promotes it, removes an old one.

use convoy_consensus::{Members, MembershipChange, ProposalId, ReplicaId};

use super::World;
use crate::checks::Checked;
use crate::node::Node;

/// So many replicas join in one schedule at most.
const NEWCOMERS: u64 = 3;

impl World {
    /// One step, from what the leader says.
    pub(super) fn change_members(&mut self) -> Checked {
        let Some(leader) = self.leader() else {
            return Ok(());
        };
        let Some(members) = self.members_of(leader) else {
            return Ok(());
        };
        let Some(change) = self.next_change(leader, &members) else {
            return Ok(());
        };
        if let MembershipChange::AddLearner(id) = change
            && !self.nodes.contains_key(&id.0)
        {
            let node = Node::new(id.0, Vec::new(), &self.plan);
            self.nodes.insert(id.0, node);
            self.start(id.0)?;
        }
        self.tell(|| format!("{leader} is asked for {change:?}"));
        let running = self
            .nodes
            .get_mut(&leader)
            .and_then(|node| node.running.as_mut());
        if let Some(running) = running {
            let proposal = ProposalId(running.next_id());
            running.replica.change_membership(proposal, change);
            self.due(leader);
        }
        Ok(())
    }

    pub(super) fn members_of(&self, id: u64) -> Option<Members> {
        let running = self.nodes.get(&id)?.running.as_ref()?;
        Some(running.replica.members().clone())
    }

    fn next_change(&mut self, leader: u64, members: &Members) -> Option<MembershipChange> {
        if members.is_joint() {
            return None;
        }
        let others: Vec<ReplicaId> = members
            .voters
            .iter()
            .copied()
            .filter(|id| id.0 != leader)
            .collect();
        // A lost replica goes first: it can't come back.
        let lost = others
            .iter()
            .copied()
            .find(|id| self.nodes.get(&id.0).is_some_and(|node| node.is_lost));
        let leaving = lost.or_else(|| (!others.is_empty()).then(|| self.random.pick(&others)));
        let voters = members.voters.len() as u64;
        let newest = self.nodes.keys().max().copied().unwrap_or_default();
        if let Some(learner) = members.learners.first().copied() {
            return Some(match self.random.below(8) {
                0 if !self.plan.loses_a_disk => MembershipChange::Remove(learner),
                1..=3 => MembershipChange::Replace {
                    remove: leaving?,
                    promote: learner,
                },
                _ => MembershipChange::Promote(learner),
            });
        }
        if voters > self.plan.replicas {
            return Some(MembershipChange::Remove(leaving?));
        }
        // Its learner may have been forgotten with a leader.
        let waiting = self.nodes.keys().copied().find(|id| {
            *id > self.plan.replicas && !members.contains(ReplicaId(*id)) && !self.was_member(*id)
        });
        let is_one_left = newest < self.plan.replicas + NEWCOMERS;
        waiting
            .or_else(|| is_one_left.then_some(newest + 1))
            .map(|id| MembershipChange::AddLearner(ReplicaId(id)))
    }

    /// Whether it has ever heard from a leader: removed replicas are not added again.
    fn was_member(&self, id: u64) -> bool {
        self.acquainted.iter().any(|(who, _)| *who == id)
    }
}
