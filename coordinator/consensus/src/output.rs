//! What comes out of a replica.

use bytes::Bytes;
use convoy_common::ids::ReplicaId;
use convoy_journal::SnapshotMeta;
use convoy_proto::raft::v1;

use crate::error::Rejected;
use crate::membership::Members;

/// Names a proposal of this replica in this life; chosen by the caller, never twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProposalId(pub u64);

/// Names a read of this replica in this life; chosen by the caller, never twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadId(pub u64);

/// What a replica found on its disk.
#[derive(Clone, Debug)]
pub struct Start {
    /// The state begins with this snapshot; without one it begins empty. Commands after it are handed out again.
    pub restore: Option<SnapshotMeta>,
    /// Bytes of a torn tail of the log that were cut: never synced, so nobody was promised them.
    pub torn_bytes: u64,
    /// Damaged snapshot files that an older one and the log replace.
    pub set_aside: Vec<String>,
}

/// A command that is in the log for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its entry. Several commands can share one.
    pub index: u64,
    /// The term of the leader that ordered it.
    pub term: u64,
    /// The proposal it came from, where it was made here and was not rejected in the meantime.
    pub proposal: Option<ProposalId>,
    /// What was proposed.
    pub data: Bytes,
}

/// Everything that a call of [`Replica::advance`](crate::Replica::advance) brought about, besides messages. To be
/// handled in the order of the fields.
#[derive(Debug, Default)]
pub struct Output {
    /// The state is replaced by this snapshot, which is in place, before `committed` is applied.
    pub restore: Option<SnapshotMeta>,
    /// Commands to apply, in order.
    pub committed: Vec<Committed>,
    /// How far the state is when `committed` is applied. Grows past entries that hold no command, too.
    pub applied: u64,
    /// Changes of members that are committed: the proposal and its entry.
    pub changed: Vec<(ProposalId, u64)>,
    /// Proposals that were not, or may not have been, accepted.
    pub rejected: Vec<(ProposalId, Rejected)>,
    /// Reads: each may be served from a state that has applied the index, on this replica.
    pub reads: Vec<(ReadId, Result<u64, Rejected>)>,
    /// The role, if it changed.
    pub role: Option<Role>,
    /// The members, if they changed.
    pub members: Option<Members>,
    /// Snapshots that followers need. Each is answered by [`Replica::snapshot_sent`](crate::Replica::snapshot_sent).
    pub snapshots_to_send: Vec<SnapshotToSend>,
    /// A snapshot of the state should be written: [`Replica::snapshot_meta`](crate::Replica::snapshot_meta), and when
    /// it is in place [`Replica::snapshot_written`](crate::Replica::snapshot_written). Said again until then.
    pub snapshot_due: bool,
}

/// A snapshot that a follower needs: its file goes first, then the message.
#[derive(Clone, Debug)]
pub struct SnapshotToSend {
    /// For whom.
    pub to: ReplicaId,
    /// Which file.
    pub meta: SnapshotMeta,
    /// Handed to the follower's replica when the file is in place there.
    pub message: v1::RaftMessage,
}

/// What a replica is in its term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Orders commands.
    Leader {
        /// Its term.
        term: u64,
        /// Whether it has handed out an entry of its own term, and with it everything that was acknowledged in earlier
        /// ones: only then may it act on the state.
        is_settled: bool,
    },
    /// Follows, or votes, or learns.
    Follower {
        /// Its term.
        term: u64,
        /// Whom it follows.
        leader: Option<ReplicaId>,
    },
    /// Asks for votes.
    Candidate {
        /// Its term.
        term: u64,
    },
}

impl Role {
    /// The leader it knows of.
    #[must_use]
    pub fn leader(self, own: ReplicaId) -> Option<ReplicaId> {
        match self {
            Self::Leader { .. } => Some(own),
            Self::Follower { leader, .. } => leader,
            Self::Candidate { .. } => None,
        }
    }

    /// The term.
    #[must_use]
    pub fn term(self) -> u64 {
        match self {
            Self::Leader { term, .. } | Self::Follower { term, .. } | Self::Candidate { term } => {
                term
            }
        }
    }
}

/// How a replica is doing.
#[derive(Clone, Debug)]
pub struct Status {
    /// Which one.
    pub id: ReplicaId,
    /// What it is.
    pub role: Role,
    /// Who belongs to the group, as far as it has applied.
    pub members: Members,
    /// Whose folders it knows though they are no part of the group, as far as it has applied: their ids are used up.
    pub departed: Vec<ReplicaId>,
    /// Index of the last entry that it knows to be committed.
    pub commit: u64,
    /// Index of the last entry that was handed out.
    pub applied: u64,
    /// Index of the first entry that it holds.
    pub first_index: u64,
    /// Index of the last entry that it holds.
    pub last_index: u64,
    /// Index of the newest snapshot; 0 without one.
    pub snapshot_index: u64,
    /// Bytes of the log on disk.
    pub journal_bytes: u64,
    /// What a leader knows of the others.
    pub peers: Vec<PeerStatus>,
}

/// What a leader knows of another replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Which one.
    pub id: ReplicaId,
    /// Index up to which its log is known to be the leader's.
    pub matched: u64,
    /// Whether it was heard of since the last check of the quorum.
    pub is_active: bool,
    /// Whether a snapshot is on its way to it.
    pub needs_snapshot: bool,
}
