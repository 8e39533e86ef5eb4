//! What the replica's driver is told.

use convoy_consensus::{MembershipChange, ProposalId, ReadId, Rejected, ReplicaId, Status};
use convoy_journal::SnapshotMeta;
use convoy_proto::raft::v1;
use tokio::sync::oneshot;

/// What the replica's driver is told.
#[derive(Debug)]
pub(crate) enum Request {
    Propose {
        id: ProposalId,
        data: Vec<u8>,
    },
    Read(ReadId),
    Change {
        id: ProposalId,
        change: MembershipChange,
    },
    /// Hands leadership over, to whoever has caught up best if nobody is named. Answered with whom it was offered to.
    Transfer {
        to: Option<ReplicaId>,
        reply: oneshot::Sender<Result<ReplicaId, Rejected>>,
    },
    /// Messages of another replica, in order.
    Receive(Vec<v1::RaftMessage>),
    /// Messages to this one are lost.
    Unreachable(ReplicaId),
    /// The connection on which this one sent broke, since its process ended.
    ConnectionLost {
        from: ReplicaId,
        /// Of the folder that its messages came from.
        birth: u64,
    },
    /// What became of a snapshot to a follower.
    SnapshotSent {
        to: ReplicaId,
        is_in_place: bool,
    },
    /// What became of a snapshot of our own state; none if it could not be written.
    SnapshotWritten(Option<SnapshotMeta>),
    Status(oneshot::Sender<Status>),
    /// The disk failed somewhere else in this process, so that nobody knows what is durable.
    Fail(String),
    /// The driver ends.
    Stop,
}
