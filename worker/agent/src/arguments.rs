//! The command line of the agent, and how it becomes the same configuration as a file.

use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Parser;
use convoy_client::Endpoints;
use convoy_common::config::AgentConfig;
use convoy_common::ids::{InvalidId, NodeId};
use convoy_common::limits::{MAX_SLOTS, MAX_SPEC_BYTES};

/// Nobody means to wait longer than an hour.
const HOUR_MS: u64 = 3_600_000;

/// Starts, watches and ends the workers of one node.
#[derive(Clone, Debug, Parser)]
#[command(name = "convoy-agent", version)]
pub(crate) struct Arguments {
    /// Configuration of this node, a TOML file; instead of all other flags.
    #[arg(long, value_name = "FILE", conflicts_with_all = FLAGS)]
    config: Option<PathBuf>,
    /// Addresses of the coordinators, http://HOST:PORT,http://HOST:PORT; any of them leads to the others.
    #[arg(long, required_unless_present = "config")]
    coordinator: Option<Endpoints>,
    /// Name of this node, unique in the cluster.
    #[arg(long, value_parser = node_id, required_unless_present = "config")]
    node_id: Option<NodeId>,
    /// Device slots: how many workers may run here at once.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_SLOTS)), required_unless_present = "config")]
    slots: Option<u32>,
    /// Folder for specs and logs, one folder per job below it; relative paths of a job that was submitted start here.
    #[arg(long, required_unless_present = "config")]
    work_dir: Option<PathBuf>,
    /// Address at which other nodes reach the workers of this one, and on which they listen.
    #[arg(long, default_value = "127.0.0.1")]
    advertised_host: IpAddr,
    /// The worker to run; otherwise convoy-worker beside this binary.
    #[arg(long)]
    worker_binary: Option<PathBuf>,
    /// Milliseconds between SIGTERM and SIGKILL for a worker that is to end: enough to finish a step and leave, short
    /// enough to wait for at a terminal.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(..=HOUR_MS))]
    stop_grace_ms: u64,
    /// Milliseconds that the coordinators may be out of reach; then they are taken for gone, and the workers, which would
    /// train for nobody, are ended. Longer than a restart of a process takes.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(..=HOUR_MS))]
    coordinator_timeout_ms: u64,
    /// File with the cluster's key, the same on every node.
    #[arg(long, value_name = "FILE")]
    cluster_key: Option<PathBuf>,
    /// Let everyone in who reaches this node, without a cluster key.
    #[arg(long)]
    insecure: bool,
    /// Process that started this one: the agent ends when it ends.
    #[arg(long)]
    pub(crate) parent_pid: Option<u32>,
}

/// What a configuration file says as well.
const FLAGS: [&str; 10] = [
    "coordinator",
    "node_id",
    "slots",
    "work_dir",
    "advertised_host",
    "worker_binary",
    "stop_grace_ms",
    "coordinator_timeout_ms",
    "cluster_key",
    "insecure",
];

fn node_id(text: &str) -> Result<NodeId, InvalidId> {
    NodeId::try_from(text.to_owned())
}

impl Arguments {
    /// What the file or the flags say, checked; all paths of a file are absolute.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn into_config(self) -> anyhow::Result<AgentConfig> {
        if let Some(path) = &self.config {
            return read(path);
        }
        let (Some(coordinator), Some(node_id), Some(slots), Some(work_dir)) =
            (self.coordinator, self.node_id, self.slots, self.work_dir)
        else {
            bail!("--coordinator, --node-id, --slots and --work-dir are needed without --config");
        };
        let config = AgentConfig {
            node_id,
            coordinators: coordinator.addresses().to_vec(),
            slots,
            interface: None,
            listen: Some(self.advertised_host),
            advertised_address: None,
            data_port_range: None,
            labels: Default::default(),
            work_dir,
            log_dir: None,
            worker_binary: self.worker_binary,
            worker_memory_limit_mib: None,
            stop_grace_ms: self.stop_grace_ms,
            coordinator_timeout_ms: self.coordinator_timeout_ms,
            cluster_key: self.cluster_key,
            insecure: self.insecure,
            allow_chaos: false,
        };
        // Told in the words of flags, before the check tells it in those of a file.
        config.guard().check(self.advertised_host)?;
        config.check()?;
        Ok(config)
    }
}

fn read(path: &Path) -> anyhow::Result<AgentConfig> {
    let cannot = || format!("cannot read the configuration {}", path.display());
    let mut text = String::new();
    File::open(path)
        .with_context(cannot)?
        // One more than is parsed, so that a longer file is told as such.
        .take(MAX_SPEC_BYTES as u64 + 1)
        .read_to_string(&mut text)
        .with_context(cannot)?;
    let mut config = AgentConfig::parse(&text, &path.display().to_string())?;
    let absolute = std::path::absolute(path).with_context(cannot)?;
    config.resolve_paths(absolute.parent().unwrap_or(Path::new("/")));
    Ok(config)
}
