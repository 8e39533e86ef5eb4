//! Brings up the replica: its folder, its state, its driver.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use convoy_access::ClusterKey;
use convoy_common::address::CoordinatorAddress;
use convoy_common::ids::ReplicaId as MemberId;
use convoy_consensus::{Rejected, Replica, ReplicaConfig, ReplicaError, ReplicaId, Start, Status};
use convoy_journal::{JournalError, RealDisk, Snapshots};
use convoy_proto::raft::{PROTOCOL_VERSION, v1};
use convoy_state_machine::Cluster;
use convoy_state_machine::replica::Replica as Member;
use convoy_state_machine::version::ClusterVersion;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::directory::{Addresses, Directory};
use super::driver::{Driver, SnapshotTurn};
use super::failure::Failure;
use super::log::{QUEUED_REQUESTS, ReplicatedLog};
use super::outbox::{Network, Outbox};
use super::request::Request;
use super::service::{self, RaftService};
use super::snapshot_files;
use super::streams::Streams;
use crate::config::{Begin, ReplicaSettings};
use crate::consensus::LogEvent;
use crate::leader::Event;

/// Groups of events that wait for the leader loop; the replica waits when it is full.
const QUEUED_GROUPS: usize = 256;

/// Why the replica did not come up.
#[derive(Debug, thiserror::Error)]
pub enum ReplicationError {
    /// The folder, or what is in it.
    #[error("{}: {source}", folder.display())]
    Disk {
        /// The data folder.
        folder: PathBuf,
        /// What is wrong.
        source: JournalError,
    },
    /// It can't be opened, or not as this replica.
    #[error("{}: {source}", folder.display())]
    Replica {
        /// The data folder.
        folder: PathBuf,
        /// What is wrong.
        source: ReplicaError,
    },
    /// A coordinator that was told to create its cluster has a folder with data.
    #[error(
        "{} holds data of {id} already, so the cluster is not created again: start without --create-cluster", folder.display()
    )]
    AlreadyCreated {
        /// The data folder.
        folder: PathBuf,
        /// Whose it is.
        id: ReplicaId,
    },
    /// A coordinator that was not told to create its cluster has an empty folder.
    #[error(
        "{} is empty. If this is the first start of a new cluster, start each of its coordinators once with --create-cluster. \
         If {id} was here before, its data is lost and it must not come back under this id: `convoy cluster replace {} NEW_ID \
         ADDRESS`, then start it with the new id and `join = true`", folder.display(), id.0
    )]
    Empty {
        /// The data folder.
        folder: PathBuf,
        /// Who was to start.
        id: ReplicaId,
    },
    /// The state can't be read.
    #[error("{}: {reason}", folder.display())]
    State {
        /// The data folder.
        folder: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// What the replica needs.
pub(crate) struct StartReplication {
    pub(crate) settings: ReplicaSettings,
    /// The state of a cluster to which nothing has happened.
    pub(crate) initial: Cluster,
    /// Where the others reach this coordinator.
    pub(crate) advertised: CoordinatorAddress,
    pub(crate) key: Option<ClusterKey>,
    pub(crate) failure: Failure,
    /// Of the leader loop.
    pub(crate) leader_inbox: mpsc::Sender<Event>,
    pub(crate) stopping: watch::Receiver<bool>,
}

/// A replica that runs, and everybody's end of it.
pub(crate) struct Started {
    pub(crate) replication: Replication,
    pub(crate) log: ReplicatedLog,
    pub(crate) events: mpsc::Receiver<Vec<LogEvent>>,
    pub(crate) cluster: Cluster,
    pub(crate) service: RaftService,
    pub(crate) directory: Directory,
    /// This coordinator, as the others should know it.
    pub(crate) introduction: (MemberId, Member),
}

/// The driver, as the coordinator around it sees it.
#[derive(Debug)]
pub(crate) struct Replication {
    requests: mpsc::Sender<Request>,
    driver: JoinHandle<()>,
}

/// Asks the replica's driver from elsewhere. Clones ask the same.
#[derive(Clone, Debug)]
pub(crate) struct ReplicaHandle(mpsc::Sender<Request>);

impl ReplicaHandle {
    /// None once the driver has ended.
    pub(crate) async fn status(&self) -> Option<Status> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Request::Status(reply)).await.ok()?;
        answer.await.ok()
    }

    /// Begins to hand leadership over; whom it is offered to.
    pub(crate) async fn transfer(&self, to: Option<ReplicaId>) -> Result<ReplicaId, Rejected> {
        let (reply, answer) = oneshot::channel();
        let asked = self.0.send(Request::Transfer { to, reply }).await;
        asked.map_err(|_| Rejected::Stopped)?;
        answer.await.map_err(|_| Rejected::Stopped)?
    }
}

impl Replication {
    fn of(driver: Driver, requests: mpsc::Sender<Request>) -> Self {
        let failure = driver.failure.clone();
        let driver = failure.supervise("replica of the log", driver.run());
        Self { requests, driver }
    }

    pub(crate) fn handle(&self) -> ReplicaHandle {
        ReplicaHandle(self.requests.clone())
    }

    /// Ends the driver; its folder is free when this returns.
    pub(crate) async fn stop(self) {
        // It may have ended already.
        let _ = self.requests.send(Request::Stop).await;
        // Whatever it came to, it has said so.
        let _ = self.driver.await;
    }
}

impl StartReplication {
    /// On the current tokio runtime.
    ///
    /// # Errors
    /// If the folder can't be used, or not in this way.
    pub(crate) fn start(self) -> Result<Started, ReplicationError> {
        let Self {
            settings,
            initial,
            advertised,
            key,
            failure,
            leader_inbox,
            stopping,
        } = self;
        let (replica, start) = open(&settings)?;
        let snapshots = replica.snapshots();
        let cluster = state(&settings, &start, &snapshots, initial)?;
        let own = replica.id();
        let (requests, inbox) = mpsc::channel(QUEUED_REQUESTS);
        let (events, told) = mpsc::channel(QUEUED_GROUPS);
        let (roles, role) = watch::channel(replica.role());
        let mut configured = settings.peers.clone();
        configured.insert(own, advertised.clone());
        let (addresses, known) = watch::channel(Addresses::from_iter(configured.clone()));
        let introduction = introduction(&settings, &advertised);
        let network = Network {
            introduction: introduction.clone(),
            addresses: known.clone(),
            key,
            requests: requests.clone(),
        };
        let directory = Directory::new(own, role, known);
        let raft = RaftService {
            cluster: settings.cluster,
            requests: requests.clone(),
            events: leader_inbox,
            snapshots: snapshots.clone(),
            installing: Arc::new(Semaphore::new(1)),
            streams: Streams::default(),
            directory: directory.clone(),
            election_timeout: settings.raft_tick * settings.election_ticks,
            stopping,
        };
        let driver = Driver {
            applied: replica.applied(),
            replica,
            tick: settings.raft_tick,
            requests: inbox,
            events,
            roles,
            outbox: Outbox::new(network),
            failure,
            snapshot: SnapshotTurn::default(),
            refusals: BTreeMap::new(),
        };
        Ok(Started {
            log: ReplicatedLog::new(requests.clone(), snapshots, addresses, configured),
            replication: Replication::of(driver, requests),
            events: told,
            cluster,
            service: raft,
            directory,
            introduction: (MemberId(own.0), service::member(introduction)),
        })
    }
}

fn open(settings: &ReplicaSettings) -> Result<(Replica<RealDisk>, Start), ReplicationError> {
    let folder = &settings.data_dir;
    let disk = RealDisk::open(folder).map_err(|source| ReplicationError::Disk {
        folder: folder.clone(),
        source,
    })?;
    let (disk, config) = (Arc::new(disk), config(settings));
    let opened = match settings.begin {
        Begin::Create => {
            let mut voters: Vec<ReplicaId> = settings.peers.keys().copied().collect();
            voters.push(settings.id);
            Replica::create(disk, config, &voters)
        }
        Begin::Open => Replica::open(disk, config),
        Begin::Join => match Replica::open(Arc::clone(&disk), config) {
            Err(ReplicaError::NotCreated { .. }) => Replica::create(disk, config, &[]),
            opened => opened,
        },
    };
    opened.map_err(|source| {
        let folder = folder.clone();
        if let ReplicaError::AlreadyCreated { id } = source {
            return ReplicationError::AlreadyCreated { folder, id };
        }
        if let ReplicaError::NotCreated { id } = source {
            return ReplicationError::Empty { folder, id };
        }
        ReplicationError::Replica { folder, source }
    })
}

fn config(settings: &ReplicaSettings) -> ReplicaConfig {
    ReplicaConfig {
        id: settings.id,
        cluster: settings.cluster,
        tick: settings.raft_tick,
        election_ticks: settings.election_ticks,
        heartbeat_ticks: settings.heartbeat_ticks,
        seed: crate::random::random_u64(),
        limits: settings.limits,
    }
}

fn state(
    settings: &ReplicaSettings,
    start: &Start,
    snapshots: &Snapshots<RealDisk>,
    initial: Cluster,
) -> Result<Cluster, ReplicationError> {
    if start.torn_bytes > 0 {
        let bytes = start.torn_bytes;
        tracing::warn!(bytes, "the log's torn end was cut; nobody was promised it");
    }
    for file in &start.set_aside {
        tracing::warn!(
            file,
            "a damaged snapshot was set aside; an older one replaces it"
        );
    }
    let Some(meta) = &start.restore else {
        return Ok(initial);
    };
    snapshot_files::read(snapshots, meta).map_err(|error| ReplicationError::State {
        folder: settings.data_dir.clone(),
        reason: error.to_string(),
    })
}

fn introduction(settings: &ReplicaSettings, advertised: &CoordinatorAddress) -> v1::Introduction {
    let address = format!("{}:{}", advertised.host(), advertised.port());
    v1::Introduction {
        cluster: settings.cluster,
        replica: settings.id.0,
        raft_address: address.clone(),
        api_address: address,
        build: crate::BUILD.to_owned(),
        supports: ClusterVersion::NEWEST.0,
        protocol_version: PROTOCOL_VERSION,
    }
}
