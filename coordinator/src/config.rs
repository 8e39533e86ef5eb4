//! How a coordinator runs.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use convoy_access::Access;
use convoy_common::address::CoordinatorAddress;
use convoy_common::config::CoordinatorConfig;
use convoy_common::limits::MAX_MESSAGE_BYTES;
use convoy_consensus::{ReplicaId, ReplicaLimits};
use convoy_journal::JournalLimits;
use tokio::sync::mpsc;

/// How a coordinator runs.
#[derive(Clone, Debug)]
pub struct CoordinatorSettings {
    /// Where it listens; port 0 lets the system choose. Off loopback only as `access` allows.
    pub listen: SocketAddr,
    /// Where others reach it, if not where it listens.
    pub advertised: Option<CoordinatorAddress>,
    /// How strangers are kept out.
    pub access: Access,
    /// The number of the first job of a new cluster: job ids name folders, so they must not repeat where those lie.
    pub first_job: u64,
    /// When it loses patience.
    pub timings: Timings,
    /// Whether a shutdown ends the agents too: the cluster ends with this process.
    pub shutdown_ends_agents: bool,
    /// Its replica of the log.
    pub replica: ReplicaSettings,
    /// Told why this coordinator can't go on, if it can't. Without it the process ends then, with the reason on standard
    /// error; which is right wherever the process is nothing but a coordinator.
    pub failures: Option<mpsc::UnboundedSender<String>>,
}

/// One coordinator's replica of the log.
#[derive(Clone, Debug)]
pub struct ReplicaSettings {
    /// Which one it is, unique in the cluster for all time.
    pub id: ReplicaId,
    /// The number of the cluster; coordinators and folders of another are refused.
    pub cluster: u64,
    /// Log and snapshots; no other coordinator may use it.
    pub data_dir: PathBuf,
    /// What is expected of that folder.
    pub begin: Begin,
    /// Where the others are; this one may be among them. With [`Begin::Create`], all voters of the new cluster.
    pub peers: BTreeMap<ReplicaId, CoordinatorAddress>,
    /// One tick of Raft.
    pub raft_tick: Duration,
    /// Ticks without a word of the leader before another is elected; up to twice as many, by chance.
    pub election_ticks: u32,
    /// Ticks between two signs of life of the leader.
    pub heartbeat_ticks: u32,
    /// Sizes and counts.
    pub limits: ReplicaLimits,
}

/// What is expected of a data folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// It holds nothing yet, and neither do those of the other voters: the cluster is new.
    Create,
    /// It may hold nothing yet: the coordinator joins a cluster that runs.
    Join,
    /// It holds this coordinator's data.
    Open,
}

impl CoordinatorSettings {
    /// A cluster of one inside another process, with its data in `data_dir`, which is empty. It ends with that process.
    #[must_use]
    pub fn embedded(data_dir: PathBuf) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            advertised: None,
            access: Access::default(),
            first_job: 1,
            timings: Timings::default(),
            shutdown_ends_agents: true,
            replica: ReplicaSettings {
                id: ReplicaId(1),
                cluster: 1,
                data_dir,
                begin: Begin::Create,
                peers: BTreeMap::new(),
                raft_tick: Duration::from_millis(50),
                election_ticks: 6,
                heartbeat_ticks: 1,
                limits: embedded_limits(),
            },
            failures: None,
        }
    }

    /// As its configuration file says. `create`: it is the first start of a new cluster.
    #[must_use]
    pub fn from_file(file: &CoordinatorConfig, access: Access, create: bool) -> Self {
        let begin = match (create, file.join) {
            (true, _) => Begin::Create,
            (false, true) => Begin::Join,
            (false, false) => Begin::Open,
        };
        let timings = &file.timings;
        let peers = file.peers.iter();
        Self {
            listen: file.listen,
            advertised: Some(file.advertised(file.listen)),
            access,
            first_job: 1,
            timings: Timings {
                silence: Duration::from_millis(timings.silence_ms),
                hello: Duration::from_millis(timings.hello_ms),
                attach: Duration::from_millis(timings.attach_ms),
                forming: Duration::from_millis(timings.forming_ms),
                finish: Duration::from_millis(timings.finish_ms),
                ..Timings::default()
            },
            shutdown_ends_agents: false,
            replica: ReplicaSettings {
                id: ReplicaId(file.id),
                cluster: file.cluster_id(),
                data_dir: file.data_dir.clone(),
                begin,
                peers: peers
                    .map(|peer| (ReplicaId(peer.id), peer.address.clone()))
                    .collect(),
                raft_tick: Duration::from_millis(timings.raft_tick_ms),
                election_ticks: timings.election_ticks,
                heartbeat_ticks: timings.heartbeat_ticks,
                limits: replica_limits(),
            },
            failures: None,
        }
    }
}

/// Everything that fits into one message of a client fits into one entry.
fn replica_limits() -> ReplicaLimits {
    ReplicaLimits {
        max_entry_bytes: MAX_MESSAGE_BYTES as u64 + (64 << 10),
        ..ReplicaLimits::default()
    }
}

/// One job's log is a few hundred kilobytes; less is written in advance, so that the start takes no longer than it must.
fn embedded_limits() -> ReplicaLimits {
    ReplicaLimits {
        journal: JournalLimits {
            segment_bytes: 6 << 20,
            reserve_bytes: 0,
            refuse_below_bytes: 16 << 20,
        },
        ..replica_limits()
    }
}

/// When the coordinator loses patience.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timings {
    /// How often it looks at the time.
    pub tick: Duration,
    /// A peer of which nothing was heard for so long is lost. Peers send a heartbeat every 500 ms.
    pub silence: Duration,
    /// A session's first message must come within this time.
    pub hello: Duration,
    /// After a worker's end, its own last words may still be on their way on another connection.
    pub settle: Duration,
    /// After a broken collective, the end or failure of a worker that explains it must be reported within this time.
    pub symptom: Duration,
    /// From its placement to its first session: a worker starts, loads libtorch and opens its data.
    pub attach: Duration,
    /// From Stop to the last Ready.
    pub forming: Duration,
    /// From the last worker's Trained to the final checkpoint's manifest.
    pub last_checkpoint: Duration,
    /// From a job's end to the end of its workers, before the agent ends them.
    pub finish: Duration,
    /// Between two progress records in the log.
    pub progress_record: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            tick: Duration::from_millis(100),
            silence: Duration::from_secs(3),
            hello: Duration::from_secs(5),
            settle: Duration::from_millis(300),
            symptom: Duration::from_secs(5),
            attach: Duration::from_secs(120),
            forming: Duration::from_secs(120),
            last_checkpoint: Duration::from_secs(300),
            finish: Duration::from_secs(10),
            progress_record: Duration::from_secs(5),
        }
    }
}

/// Whole milliseconds of a duration.
pub(crate) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
