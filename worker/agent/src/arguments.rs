//! The command line of the agent.

use std::path::PathBuf;

use clap::Parser;
use convoy_client::CoordinatorAddress;
use convoy_common::ids::{InvalidId, NodeId};
use convoy_common::limits::MAX_SLOTS;

/// Nobody means to wait longer than an hour.
const HOUR_MS: u64 = 3_600_000;

/// Starts, watches and ends the workers of one node.
#[derive(Clone, Debug, Parser)]
#[command(name = "convoy-agent", version)]
pub(crate) struct Arguments {
    /// Address of the coordinator, http://HOST:PORT.
    #[arg(long)]
    pub(crate) coordinator: CoordinatorAddress,
    /// Name of this node, unique in the cluster.
    #[arg(long, value_parser = node_id)]
    pub(crate) node_id: NodeId,
    /// Device slots: how many workers may run here at once.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_SLOTS)))]
    pub(crate) slots: u32,
    /// Folder for specs and logs, one folder per job below it.
    #[arg(long)]
    pub(crate) work_dir: PathBuf,
    /// Address at which other nodes reach the workers of this one.
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) advertised_host: String,
    /// The worker to run; otherwise convoy-worker beside this binary.
    #[arg(long)]
    pub(crate) worker_binary: Option<PathBuf>,
    /// Milliseconds between SIGTERM and SIGKILL for a worker that is to end: enough to finish a step and leave, short
    /// enough to wait for at a terminal.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(..=HOUR_MS))]
    pub(crate) stop_grace_ms: u64,
    /// Milliseconds that the coordinator may be out of reach; then it is taken for gone, and the workers, which would
    /// train for nobody, are ended. Longer than a restart of its process takes.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(..=HOUR_MS))]
    pub(crate) coordinator_timeout_ms: u64,
    /// Process that started this one: the agent ends when it ends.
    #[arg(long)]
    pub(crate) parent_pid: Option<u32>,
}

fn node_id(text: &str) -> Result<NodeId, InvalidId> {
    NodeId::try_from(text.to_owned())
}
