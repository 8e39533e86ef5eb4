//! `convoy-agent --config FILE`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ConfigErrors, rules};
use crate::address::CoordinatorAddress;
use crate::document::{self, Document, Finding, file_path, resolved};
use crate::ids::NodeId;
use crate::limits::{MAX_COORDINATORS, MAX_SLOTS};
use crate::listen::Guard;

/// Nobody means to wait longer than an hour.
const HOUR_MS: u64 = 3_600_000;

/// More than any machine has.
const MAX_MEMORY_MIB: u64 = 1 << 24;

/// How the agent of a node runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct AgentConfig {
    /// Name of this node, unique in the cluster.
    #[schemars(with = "String", extend("format" = "node-id"))]
    #[garde(skip)]
    pub node_id: NodeId,
    /// Addresses of the coordinators; any of them leads to the others.
    #[garde(length(min = 1, max = MAX_COORDINATORS))]
    pub coordinators: Vec<CoordinatorAddress>,
    /// Device slots: how many workers may run here at once.
    #[garde(range(min = 1, max = MAX_SLOTS))]
    pub slots: u32,
    /// Network interface whose address the workers listen on; instead of `listen`.
    #[serde(default)]
    #[garde(skip)]
    pub interface: Option<String>,
    /// Address that the workers listen on for each other. Default: 127.0.0.1.
    #[serde(default)]
    #[garde(skip)]
    pub listen: Option<IpAddr>,
    /// Address at which other nodes reach the workers of this one. Default: the address that they listen on.
    #[serde(default)]
    #[garde(skip)]
    pub advertised_address: Option<IpAddr>,
    /// First and last port for the workers to listen on, one each. Default: any free port.
    #[serde(default)]
    #[garde(skip)]
    pub data_port_range: Option<[u16; 2]>,
    /// What jobs may ask of a node.
    #[serde(default)]
    #[garde(skip)]
    pub labels: BTreeMap<String, String>,
    /// Folder for specs and, unless `log_dir` is set, logs; one folder per job below it. Relative paths of a job that was
    /// submitted start here.
    #[schemars(length(min = 1))]
    #[garde(custom(file_path))]
    pub work_dir: PathBuf,
    /// Folder for the workers' logs, one folder per job below it. Default: `work_dir`.
    #[serde(default)]
    #[garde(inner(custom(file_path)))]
    pub log_dir: Option<PathBuf>,
    /// The worker to run. Default: `convoy-worker` beside the agent.
    #[serde(default)]
    #[garde(inner(custom(file_path)))]
    pub worker_binary: Option<PathBuf>,
    /// Mebibytes of memory that a worker may use; one that uses more is ended. Files that it maps don't count.
    #[serde(default)]
    #[garde(range(min = 1, max = MAX_MEMORY_MIB))]
    pub worker_memory_limit_mib: Option<u64>,
    /// Milliseconds between SIGTERM and SIGKILL for a worker that is to end.
    #[serde(default = "five_seconds")]
    #[garde(range(max = HOUR_MS))]
    pub stop_grace_ms: u64,
    /// Milliseconds that the coordinators may be out of reach before the workers are ended.
    #[serde(default = "ten_minutes")]
    #[garde(range(max = HOUR_MS))]
    pub coordinator_timeout_ms: u64,
    /// File with the cluster's key, the same on every node.
    #[serde(default)]
    #[garde(inner(custom(file_path)))]
    pub cluster_key: Option<PathBuf>,
    /// Let everyone in who reaches this node, without a cluster key.
    #[serde(default)]
    #[garde(skip)]
    pub insecure: bool,
    /// Let chaos tests kill and pause what runs here.
    #[serde(default)]
    #[garde(skip)]
    pub allow_chaos: bool,
}

/// Enough to finish a step and leave, short enough to wait for.
fn five_seconds() -> u64 {
    5_000
}

/// Workers train on without a coordinator, so that it may be away for long; but not for nobody, for good.
fn ten_minutes() -> u64 {
    600_000
}

impl Document for AgentConfig {
    const KIND: &'static str = "agent configuration";

    fn rules(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        findings.extend(rules::access(self.cluster_key.as_deref(), self.insecure));
        findings.extend(rules::distinct(&self.coordinators));
        findings.extend(rules::interface(self.interface.as_deref(), self.listen));
        findings.extend(rules::listener("listen", self.listen, self.guard()));
        findings.extend(rules::advertised(
            self.listen,
            self.interface.is_some(),
            self.advertised_address,
        ));
        findings.extend(rules::ports(self.data_port_range, self.slots));
        findings.extend(rules::labels(&self.labels));
        findings
    }
}

impl AgentConfig {
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
        let optional = [
            &mut self.log_dir,
            &mut self.worker_binary,
            &mut self.cluster_key,
        ];
        for path in optional.into_iter().flatten() {
            *path = resolved(folder, path);
        }
        self.work_dir = resolved(folder, &self.work_dir);
    }

    /// How strangers are kept out.
    #[must_use]
    pub fn guard(&self) -> Guard {
        Guard::of(self.cluster_key.is_some(), self.insecure)
    }

    /// The ports that workers may listen on; none means any.
    #[must_use]
    pub fn data_ports(&self) -> Option<RangeInclusive<u16>> {
        self.data_port_range.map(|[first, last]| first..=last)
    }

    /// Where workers listen if no interface is named.
    #[must_use]
    pub fn listen_address(&self) -> IpAddr {
        self.listen.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }
}
