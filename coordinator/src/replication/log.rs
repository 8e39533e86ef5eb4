//! The log as the leader loop sees it: requests to the replica's driver.

use std::collections::{BTreeMap, VecDeque};

use convoy_common::address::CoordinatorAddress;
use convoy_consensus::{MembershipChange, Rejected, ReplicaId};
use convoy_journal::{RealDisk, SnapshotMeta, Snapshots};
use convoy_state_machine::codec::{self, CodecError};
use convoy_state_machine::limits::MAX_COMMAND_BYTES;
use convoy_state_machine::{Cluster, Envelope};
use tokio::sync::{mpsc, oneshot, watch};

use super::directory::Addresses;
use super::request::Request;
use super::snapshot_files;
use crate::consensus::{Log, LogEvent, ProposalId, ReadId};

/// Requests that wait for the replica's driver. More means that the disk can't keep up, and clients should wait.
pub(super) const QUEUED_REQUESTS: usize = 8_192;

/// The leader loop's end.
pub(crate) struct ReplicatedLog {
    requests: mpsc::Sender<Request>,
    snapshots: Snapshots<RealDisk>,
    addresses: watch::Sender<Addresses>,
    /// From the configuration: whoever moves a coordinator writes it there first.
    configured: BTreeMap<ReplicaId, CoordinatorAddress>,
    named: u64,
    /// What needs no driver to be known.
    events: VecDeque<LogEvent>,
}

impl ReplicatedLog {
    pub(super) fn new(
        requests: mpsc::Sender<Request>,
        snapshots: Snapshots<RealDisk>,
        addresses: watch::Sender<Addresses>,
        configured: BTreeMap<ReplicaId, CoordinatorAddress>,
    ) -> Self {
        Self {
            requests,
            snapshots,
            addresses,
            configured,
            named: 0,
            events: VecDeque::new(),
        }
    }

    fn name(&mut self) -> u64 {
        self.named += 1;
        self.named
    }

    /// Whether the driver will hear of it.
    fn ask(&self, request: Request) -> Result<(), Rejected> {
        self.requests
            .try_send(request)
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => Rejected::Busy {
                    waiting_bytes: 0,
                    limit_bytes: 0,
                },
                mpsc::error::TrySendError::Closed(_) => Rejected::Stopped,
            })
    }

    fn try_propose(&self, id: ProposalId, envelope: &Envelope) -> Result<(), Rejected> {
        let data = codec::encode_command(envelope).map_err(|error| too_large(&error))?;
        self.ask(Request::Propose { id, data })
    }
}

/// There is no other reason for which a command can't be encoded.
fn too_large(error: &CodecError) -> Rejected {
    tracing::warn!(%error, "command refused");
    let limit_bytes = MAX_COMMAND_BYTES as u64;
    Rejected::TooLarge {
        bytes: limit_bytes + 1,
        limit_bytes,
    }
}

impl Log for ReplicatedLog {
    fn propose(&mut self, envelope: Envelope) -> ProposalId {
        let id = ProposalId(self.name());
        if let Err(why) = self.try_propose(id, &envelope) {
            self.events.push_back(LogEvent::Rejected(id, why));
        }
        id
    }

    fn read(&mut self) -> ReadId {
        let id = ReadId(self.name());
        if let Err(why) = self.ask(Request::Read(id)) {
            self.events.push_back(LogEvent::ReadReady(id, Err(why)));
        }
        id
    }

    fn change(&mut self, change: MembershipChange) -> ProposalId {
        let id = ProposalId(self.name());
        if let Err(why) = self.ask(Request::Change { id, change }) {
            self.events.push_back(LogEvent::Rejected(id, why));
        }
        id
    }

    fn hand_over(&mut self) {
        let (reply, _unheard) = oneshot::channel();
        if let Err(why) = self.ask(Request::Transfer { to: None, reply }) {
            tracing::warn!(%why, "leadership can't be handed over");
        }
    }

    fn save(&mut self, meta: SnapshotMeta, cluster: Cluster) {
        let (snapshots, requests) = (self.snapshots.clone(), self.requests.clone());
        snapshot_files::write_aside(snapshots, meta, cluster, requests);
    }

    fn publish_addresses(&mut self, cluster: &Cluster) {
        let known = cluster.replicas().filter_map(|(id, replica)| {
            let address = format!("http://{}", replica.raft_address).parse();
            Some((ReplicaId(id.0), address.ok()?))
        });
        let configured = self.configured.iter();
        let configured = configured.map(|(id, address)| (*id, address.clone()));
        let addresses: Addresses = known.chain(configured).collect();
        self.addresses.send_if_modified(|published| {
            let changes = *published != addresses;
            *published = addresses;
            changes
        });
    }

    fn next_event(&mut self) -> Option<LogEvent> {
        self.events.pop_front()
    }
}
