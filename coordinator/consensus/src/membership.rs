//! Who belongs to the group, and how that changes.

use bytes::Bytes;
use convoy_journal::SnapshotMeta;
use convoy_proto::raft::v1;
use prost::Message as _;
use raft::eraftpb::{
    ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2, ConfState,
};

use crate::config::ReplicaId;
use crate::error::Rejected;

/// A learner this many entries behind may be promoted: it is level before the promotion is committed.
pub(crate) const CAUGHT_UP_ENTRIES: u64 = 256;

/// Who belongs to the group; each list in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Whose majority decides.
    pub voters: Vec<ReplicaId>,
    /// Who gets everything and decides nothing.
    pub learners: Vec<ReplicaId>,
    /// While a change of several at once is under way: whose majority is needed as well.
    pub voters_outgoing: Vec<ReplicaId>,
    /// Who becomes a learner when that is over.
    pub learners_next: Vec<ReplicaId>,
    /// Whether it ends by itself.
    pub auto_leave: bool,
}

impl Members {
    /// Whether this replica is among them, in any part.
    #[must_use]
    pub fn contains(&self, id: ReplicaId) -> bool {
        self.is_voter(id) || self.learners.contains(&id) || self.learners_next.contains(&id)
    }

    /// Whether its vote counts.
    #[must_use]
    pub fn is_voter(&self, id: ReplicaId) -> bool {
        self.voters.contains(&id) || self.voters_outgoing.contains(&id)
    }

    /// Whether a change of several at once is under way.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        !self.voters_outgoing.is_empty()
    }

    pub(crate) fn from_conf_state(state: &ConfState) -> Self {
        Self {
            voters: sorted(state.get_voters()),
            learners: sorted(state.get_learners()),
            voters_outgoing: sorted(state.get_voters_outgoing()),
            learners_next: sorted(state.get_learners_next()),
            auto_leave: state.auto_leave,
        }
    }

    /// As the header of a snapshot of the state after `index` has them.
    pub(crate) fn to_meta(&self, index: u64, term: u64) -> SnapshotMeta {
        SnapshotMeta {
            index,
            term,
            voters: numbers(&self.voters),
            learners: numbers(&self.learners),
            voters_outgoing: numbers(&self.voters_outgoing),
            learners_next: numbers(&self.learners_next),
            auto_leave: self.auto_leave,
        }
    }
}

fn sorted(ids: &[u64]) -> Vec<ReplicaId> {
    let mut ids: Vec<_> = ids.iter().copied().map(ReplicaId).collect();
    ids.sort_unstable();
    ids
}

fn numbers(ids: &[ReplicaId]) -> Vec<u64> {
    ids.iter().map(|id| id.0).collect()
}

pub(crate) fn conf_state(meta: &SnapshotMeta) -> ConfState {
    let mut state = ConfState::default();
    state.set_voters(meta.voters.clone());
    state.set_learners(meta.learners.clone());
    state.set_voters_outgoing(meta.voters_outgoing.clone());
    state.set_learners_next(meta.learners_next.clone());
    state.auto_leave = meta.auto_leave;
    state
}

/// A change of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MembershipChange {
    /// A new replica gets everything, from the beginning.
    AddLearner(ReplicaId),
    /// A learner that has caught up becomes a voter.
    Promote(ReplicaId),
    /// A voter or learner leaves for good; its id is not used again.
    Remove(ReplicaId),
    /// A learner that has caught up takes a voter's place, in one step.
    Replace {
        /// Who leaves.
        remove: ReplicaId,
        /// Who takes its place.
        promote: ReplicaId,
    },
}

impl MembershipChange {
    /// Whom it makes a voter.
    pub(crate) fn promoted(self) -> Option<ReplicaId> {
        match self {
            Self::Promote(id) | Self::Replace { promote: id, .. } => Some(id),
            Self::AddLearner(_) | Self::Remove(_) => None,
        }
    }

    /// Whether it makes sense for `members` under `leader`.
    pub(crate) fn check(self, members: &Members, leader: ReplicaId) -> Result<(), Rejected> {
        let impossible = |reason: String| Err(Rejected::NoSuchChange { reason });
        if let Some(id) = self.promoted()
            && !members.learners.contains(&id)
        {
            return impossible(format!(
                "{id} is no learner (learners: {:?}): a new replica is added as a learner first",
                numbers(&members.learners)
            ));
        }
        match self {
            Self::AddLearner(id) if id.0 == 0 => impossible("0 is no replica's id".to_owned()),
            Self::AddLearner(id) if members.contains(id) => {
                impossible(format!("{id} belongs to the cluster already"))
            }
            Self::Remove(id) | Self::Replace { remove: id, .. } if !members.contains(id) => {
                impossible(format!("{id} does not belong to the cluster"))
            }
            Self::Remove(id) | Self::Replace { remove: id, .. } if id == leader => {
                Err(Rejected::RemovesLeader { leader })
            }
            Self::AddLearner(_) | Self::Promote(_) | Self::Remove(_) | Self::Replace { .. } => {
                Ok(())
            }
        }
    }

    /// What goes into the entry.
    pub(crate) fn encode(self, proposer: &v1::Proposer) -> Bytes {
        let step = |kind: v1::MembershipStepKind, id: ReplicaId| v1::MembershipStep {
            kind: kind.into(),
            replica: id.0,
        };
        let steps = match self {
            Self::AddLearner(id) => vec![step(v1::MembershipStepKind::Learner, id)],
            Self::Promote(id) => vec![step(v1::MembershipStepKind::Voter, id)],
            Self::Remove(id) => vec![step(v1::MembershipStepKind::Remove, id)],
            Self::Replace { remove, promote } => vec![
                step(v1::MembershipStepKind::Remove, remove),
                step(v1::MembershipStepKind::Voter, promote),
            ],
        };
        let change = v1::MembershipChange {
            // Several steps go through a joint configuration that ends by itself, one step does not need it.
            transition: v1::MembershipTransition::Auto.into(),
            steps,
            context: proposer.encode_to_vec().into(),
        };
        change.encode_to_vec().into()
    }
}

/// The first voter entries of a new cluster: the same on all of them.
pub(crate) fn founding(voter: u64) -> Vec<u8> {
    let change = v1::MembershipChange {
        transition: v1::MembershipTransition::Auto.into(),
        steps: vec![v1::MembershipStep {
            kind: v1::MembershipStepKind::Voter.into(),
            replica: voter,
        }],
        context: Bytes::new(),
    };
    change.encode_to_vec()
}

/// What an entry says, for raft-rs, and who proposed it.
pub(crate) fn decode(data: Bytes) -> Result<(ConfChangeV2, Option<v1::Proposer>), String> {
    let change = v1::MembershipChange::decode(data).map_err(|error| error.to_string())?;
    let mut converted = ConfChangeV2::default();
    converted.set_transition(match change.transition() {
        v1::MembershipTransition::Auto => ConfChangeTransition::Auto,
        v1::MembershipTransition::Implicit => ConfChangeTransition::Implicit,
        v1::MembershipTransition::Explicit => ConfChangeTransition::Explicit,
    });
    let mut steps = Vec::with_capacity(change.steps.len());
    for step in &change.steps {
        let kind = v1::MembershipStepKind::try_from(step.kind)
            .map_err(|_| format!("step of unknown kind {}", step.kind))?;
        let mut single = ConfChangeSingle::default();
        single.set_change_type(match kind {
            v1::MembershipStepKind::Voter => ConfChangeType::AddNode,
            v1::MembershipStepKind::Remove => ConfChangeType::RemoveNode,
            v1::MembershipStepKind::Learner => ConfChangeType::AddLearnerNode,
        });
        single.node_id = step.replica;
        steps.push(single);
    }
    converted.set_changes(steps.into());
    let proposer = if change.context.is_empty() {
        None
    } else {
        let proposer = v1::Proposer::decode(change.context).map_err(|error| error.to_string())?;
        Some(proposer)
    };
    Ok((converted, proposer))
}
