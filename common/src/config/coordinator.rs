//! `convoy-coordinator --config FILE`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ConfigErrors, rules};
use crate::address::CoordinatorAddress;
use crate::document::{self, Document, Finding, file_path, resolved};
use crate::limits::MAX_COORDINATORS;
use crate::listen::Guard;

/// How one coordinator of a cluster runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct CoordinatorConfig {
    /// Number of this coordinator, unique in the cluster for all time: one that lost its data comes back under a new one.
    #[garde(range(min = 1, max = 1_000_000))]
    pub id: u64,
    /// Name of the cluster; coordinators of another one are refused.
    #[serde(default = "convoy")]
    #[schemars(length(min = 1, max = 64))]
    #[garde(custom(rules::cluster_name))]
    pub cluster: String,
    /// Address and port to listen on.
    #[schemars(with = "String", extend("format" = "socket-address"))]
    #[garde(skip)]
    pub listen: SocketAddr,
    /// Address at which others reach this coordinator. Default: its own in `peers`, or the one it listens on.
    #[serde(default)]
    #[garde(skip)]
    pub advertised_address: Option<CoordinatorAddress>,
    /// All coordinators of the cluster, this one included; left out where there is only one.
    #[serde(default)]
    #[garde(length(max = MAX_COORDINATORS), dive)]
    pub peers: Vec<PeerConfig>,
    /// Whether it joins a cluster that runs already, after `convoy cluster add`, and forms none of its own.
    #[serde(default)]
    #[garde(skip)]
    pub join: bool,
    /// Folder for the log and snapshots; no other coordinator may use it.
    #[schemars(length(min = 1))]
    #[garde(custom(file_path))]
    pub data_dir: PathBuf,
    /// When it loses patience.
    #[serde(default)]
    #[garde(dive)]
    pub timings: TimingsConfig,
    /// File with the cluster's key, the same on every node.
    #[serde(default)]
    #[garde(inner(custom(file_path)))]
    pub cluster_key: Option<PathBuf>,
    /// Let everyone in who reaches this coordinator, without a cluster key.
    #[serde(default)]
    #[garde(skip)]
    pub insecure: bool,
    /// Let chaos tests act on this cluster.
    #[serde(default)]
    #[garde(skip)]
    pub allow_chaos: bool,
}

/// One coordinator of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct PeerConfig {
    /// Its number.
    #[garde(range(min = 1, max = 1_000_000))]
    pub id: u64,
    /// Where it is reached.
    #[garde(skip)]
    pub address: CoordinatorAddress,
}

/// When a coordinator loses patience. Milliseconds, where no other unit is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct TimingsConfig {
    /// One tick of Raft.
    #[garde(range(min = 1, max = 10_000))]
    pub raft_tick_ms: u64,
    /// Ticks without a word of the leader before another is elected; up to twice as many, by chance.
    #[garde(range(min = 2, max = 1_000))]
    pub election_ticks: u32,
    /// Ticks between two signs of life of the leader.
    #[garde(range(min = 1, max = 100))]
    pub heartbeat_ticks: u32,
    /// An agent or worker of which nothing was heard for so long is lost; each says something every 500 ms.
    #[garde(range(min = 1_000, max = 3_600_000))]
    pub silence_ms: u64,
    /// A session's first message must come within this time.
    #[garde(range(min = 100, max = 60_000))]
    pub hello_ms: u64,
    /// From a worker's placement to its first session: it starts, loads libtorch and opens its data.
    #[garde(range(min = 1_000, max = 3_600_000))]
    pub attach_ms: u64,
    /// From the first directive of an attempt until all its members are ready.
    #[garde(range(min = 1_000, max = 3_600_000))]
    pub forming_ms: u64,
    /// From a job's end to the end of its workers, before the agent ends them.
    #[garde(range(min = 100, max = 3_600_000))]
    pub finish_ms: u64,
}

impl Default for TimingsConfig {
    fn default() -> Self {
        Self {
            raft_tick_ms: 50,
            election_ticks: 6,
            heartbeat_ticks: 1,
            silence_ms: 3_000,
            hello_ms: 5_000,
            attach_ms: 120_000,
            forming_ms: 120_000,
            finish_ms: 10_000,
        }
    }
}

fn convoy() -> String {
    "convoy".to_owned()
}

impl Document for CoordinatorConfig {
    const KIND: &'static str = "coordinator configuration";

    fn rules(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        findings.extend(rules::access(self.cluster_key.as_deref(), self.insecure));
        let ip = Some(self.listen.ip());
        findings.extend(rules::listener("listen", ip, self.guard()));
        findings.extend(rules::fixed_port(self.listen));
        findings.extend(rules::peers(self));
        findings.extend(rules::reachable(self));
        findings.extend(rules::election(&self.timings));
        if !self.peers.is_empty() {
            findings.extend(rules::silence(&self.timings));
        }
        findings
    }
}

impl CoordinatorConfig {
    /// Reads a configuration from TOML and checks all of it. `file_name` is only for messages.
    ///
    /// # Errors
    /// Everything that is wrong, each with its place.
    pub fn parse(source: &str, file_name: &str) -> Result<Self, ConfigErrors> {
        document::parse(source, file_name)
    }

    /// Checks a configuration that was put together from flags.
    ///
    /// # Errors
    /// Everything that is wrong; without places.
    pub fn check(&self) -> Result<(), ConfigErrors> {
        document::check(self, "command line")
    }

    /// Makes every relative path relative to `folder` instead, the folder of the file.
    pub fn resolve_paths(&mut self, folder: &Path) {
        self.data_dir = resolved(folder, &self.data_dir);
        if let Some(key) = &mut self.cluster_key {
            *key = resolved(folder, key);
        }
    }

    /// How strangers are kept out.
    #[must_use]
    pub fn guard(&self) -> Guard {
        Guard::of(self.cluster_key.is_some(), self.insecure)
    }

    /// Where others reach this coordinator. `listening` is where it listens, with its port.
    #[must_use]
    pub fn advertised(&self, listening: SocketAddr) -> CoordinatorAddress {
        let own = self.peers.iter().find(|peer| peer.id == self.id);
        self.advertised_address
            .as_ref()
            .or(own.map(|own| &own.address))
            .cloned()
            .unwrap_or_else(|| listening.into())
    }

    /// The cluster's name as the number that Raft messages and files carry: FNV-1a of its bytes.
    #[must_use]
    pub fn cluster_id(&self) -> u64 {
        const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0100_0000_01b3;
        self.cluster.bytes().fold(OFFSET, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(PRIME)
        })
    }
}
