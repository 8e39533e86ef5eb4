//! How a replica is doing.

use convoy_common::ids::ReplicaId;
use convoy_journal::Disk;
use raft::{ProgressState, StateRole};

use super::Replica;
use crate::membership::Members;
use crate::output::{PeerStatus, Role, Status};

impl<D: Disk> Replica<D> {
    /// Which one this is.
    #[must_use]
    pub fn id(&self) -> ReplicaId {
        self.config.id
    }

    /// Of its folder: a random number, which stands in every message.
    #[must_use]
    pub fn birth(&self) -> u64 {
        self.birth
    }

    /// What it is in its term.
    #[must_use]
    pub fn role(&self) -> Role {
        let raft = &self.raw.raft;
        let term = raft.term;
        match raft.state {
            StateRole::Leader => Role::Leader {
                term,
                is_settled: self.applied.term == term,
            },
            StateRole::Follower => Role::Follower {
                term,
                leader: self.known_leader(),
            },
            StateRole::Candidate | StateRole::PreCandidate => Role::Candidate { term },
        }
    }

    /// Who belongs to the group, as of what was handed out.
    #[must_use]
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// Index of the last entry that was handed out.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.applied.index
    }

    /// How it is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        let raft = &self.raw.raft;
        let store = self.raw.store();
        Status {
            id: self.config.id,
            role: self.role(),
            members: self.members.clone(),
            departed: self.departed(),
            commit: raft.raft_log.committed,
            applied: self.applied.index,
            first_index: store.start().index + 1,
            last_index: raft.raft_log.last_index(),
            snapshot_index: store.snapshot_meta().map_or(0, |meta| meta.index),
            journal_bytes: self.journal.bytes(),
            peers: self.peers(),
        }
    }

    fn departed(&self) -> Vec<ReplicaId> {
        let known = self.births.all().map(|birth| ReplicaId(birth.replica));
        known.filter(|id| !self.members.contains(*id)).collect()
    }

    fn peers(&self) -> Vec<PeerStatus> {
        let raft = &self.raw.raft;
        if raft.state != StateRole::Leader {
            return Vec::new();
        }
        let others = raft.prs().iter().filter(|(id, _)| **id != raft.id);
        let mut peers: Vec<_> = others
            .map(|(&id, progress)| PeerStatus {
                id: ReplicaId(id),
                matched: progress.matched,
                is_active: progress.recent_active,
                needs_snapshot: progress.state == ProgressState::Snapshot,
            })
            .collect();
        peers.sort_unstable_by_key(|peer| peer.id);
        peers
    }
}
