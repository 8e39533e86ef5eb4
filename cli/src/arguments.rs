//! What can be typed.

mod cluster;
mod jobs;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use convoy_common::limits::MAX_SLOTS;

pub(crate) use cluster::{ClusterArguments, ClusterCommand, Coordinators};
pub(crate) use jobs::{
    CancelArguments, DescribeArguments, LogsArguments, NodesArguments, PsArguments,
    ResubmitArguments, SubmitArguments,
};

use crate::bench::BenchCommand;

/// Convoy trains convolutional networks on several workers that may come and go.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a job on this machine: starts a coordinator, an agent and the workers, and ends them all.
    Run(RunArguments),
    /// Hand a job to a cluster, and print its id.
    Submit(SubmitArguments),
    /// List the jobs of a cluster, each with the reason for what it does.
    Ps(PsArguments),
    /// List the nodes of a cluster, and what runs there.
    Nodes(NodesArguments),
    /// Show everything that is known about a job.
    Describe(DescribeArguments),
    /// Cancel a job.
    Cancel(CancelArguments),
    /// Show what the workers of a job write.
    Logs(LogsArguments),
    /// Submit the spec of a job again, as a new job, and print its id.
    Resubmit(ResubmitArguments),
    /// Check a job spec and its data without training.
    Validate(ValidateArguments),
    /// Print the JSON schema of job specs.
    Schema,
    /// Look at checkpoints and take models out of them.
    #[command(subcommand)]
    Checkpoint(CheckpointCommand),
    /// Look at the coordinators of a cluster, and change who they are.
    Cluster(ClusterArguments),
    /// Measure Convoy beside PyTorch on this machine.
    #[command(subcommand)]
    Bench(BenchCommand),
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// The job spec, a TOML file; relative paths in it start from its folder.
    pub(crate) spec: PathBuf,
    /// Worker processes to train with.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_SLOTS)))]
    pub(crate) workers: u32,
    /// Address the coordinator listens on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// File with a key that everyone must know who calls the coordinator; for an address that other machines reach.
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub(crate) cluster_key: Option<PathBuf>,
    /// Let everyone in who reaches the coordinator, without a cluster key.
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Folder for logs and what else the run leaves.
    #[arg(long, default_value = ".convoy")]
    pub(crate) work_dir: PathBuf,
    /// Write the outcome as JSON to this file at the end.
    #[arg(long, value_name = "FILE")]
    pub(crate) summary: Option<PathBuf>,
    /// Print plain lines also on a terminal.
    #[arg(long)]
    pub(crate) plain: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ValidateArguments {
    /// The job spec, a TOML file.
    pub(crate) spec: PathBuf,
    /// Also check that it can run with so many workers.
    #[arg(long)]
    pub(crate) workers: Option<u32>,
    /// Don't look at the data files, nor at that of model.init.
    #[arg(long)]
    pub(crate) no_data: bool,
}

/// How something is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputForm {
    /// For people.
    Table,
    /// For programs.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CheckpointCommand {
    /// Write the model of a checkpoint as one .safetensors file, after checking every hash.
    Export(ExportArguments),
    /// Show what a checkpoint holds and check every hash.
    Show(ShowArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// A manifest.json, the folder of a checkpoint, or the folder of a job for its newest checkpoint.
    pub(crate) checkpoint: PathBuf,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Replace the file if it is there.
    #[arg(long)]
    pub(crate) force: bool,
    /// Write what was exported as JSON to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    /// A manifest.json, the folder of a checkpoint, or the folder of a job for its newest checkpoint.
    pub(crate) checkpoint: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Arguments::command().debug_assert();
    }
}
