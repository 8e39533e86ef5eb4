//! Messages on their way to the other replicas: a bounded queue for each.

use std::collections::{BTreeMap, BTreeSet};

use convoy_access::ClusterKey;
use convoy_consensus::{Members, ReplicaId, SnapshotToSend};
use convoy_journal::{RealDisk, Snapshots};
use convoy_proto::raft::v1;
use tokio::sync::{mpsc, watch};

use super::carry;
use super::directory::Addresses;
use super::peer::Peer;
use super::request::Request;

/// Messages that wait for one peer. More means that it does not read, and Raft sends anew whatever matters.
const QUEUED_MESSAGES: usize = 512;

/// What everything that speaks with other replicas needs.
#[derive(Clone)]
pub(super) struct Network {
    pub(super) introduction: v1::Introduction,
    pub(super) addresses: watch::Receiver<Addresses>,
    pub(super) key: Option<ClusterKey>,
    pub(super) requests: mpsc::Sender<Request>,
}

/// Queues to the others.
pub(super) struct Outbox {
    network: Network,
    queues: BTreeMap<ReplicaId, mpsc::Sender<v1::RaftMessage>>,
    unreachable: BTreeSet<ReplicaId>,
    is_any_queued: bool,
}

impl Outbox {
    pub(super) fn new(network: Network) -> Self {
        Self {
            network,
            queues: BTreeMap::new(),
            unreachable: BTreeSet::new(),
            is_any_queued: false,
        }
    }

    /// Never waits: what does not fit is dropped. Only on a runtime.
    pub(super) fn send(&mut self, to: ReplicaId, message: v1::RaftMessage) {
        let network = &self.network;
        let queue = self.queues.entry(to).or_insert_with(|| {
            let (queue, waiting) = mpsc::channel(QUEUED_MESSAGES);
            tokio::spawn(Peer::new(to, waiting, network.clone()).run());
            queue
        });
        self.is_any_queued = true;
        if queue.try_send(message).is_err() {
            self.unreachable.insert(to);
        }
    }

    /// Lets other tasks of this thread run, until none has anything to do or a few dozen had their turn. Unless many sessions
    /// are busy, what was queued has left then, or waits for the network.
    pub(super) async fn let_go(&mut self) {
        if std::mem::take(&mut self.is_any_queued) {
            tokio::task::yield_now().await;
        }
    }

    /// To whom messages were dropped since the last time.
    pub(super) fn take_unreachable(&mut self) -> BTreeSet<ReplicaId> {
        std::mem::take(&mut self.unreachable)
    }

    /// Hangs up on whoever is no member any more.
    pub(super) fn keep(&mut self, members: &Members) {
        self.queues.retain(|id, _| members.contains(*id));
    }

    /// Sends a snapshot beside everything else; the replica's driver hears what became of it.
    pub(super) fn send_snapshot(&self, snapshots: Snapshots<RealDisk>, snapshot: SnapshotToSend) {
        tokio::spawn(carry::carry(self.network.clone(), snapshots, snapshot));
    }
}
