//! What can be typed about the jobs and nodes of a cluster.

use std::path::PathBuf;

use clap::Args;
use convoy_common::ids::{InvalidId, JobId};
use convoy_common::limits::MAX_TAIL_LINES;

use super::{Coordinators, OutputForm};

#[derive(Debug, Args)]
pub(crate) struct SubmitArguments {
    /// The job spec, a TOML file; relative paths in it start from the work folder of each node that runs the job.
    pub(crate) spec: PathBuf,
    /// Worker processes to train with.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) workers: u32,
    /// Follow the job to its end and exit as `convoy run` does; Ctrl-C cancels it.
    #[arg(long)]
    pub(crate) wait: bool,
    /// Print plain lines also on a terminal.
    #[arg(long, requires = "wait")]
    pub(crate) plain: bool,
    #[command(flatten)]
    pub(crate) coordinators: Coordinators,
}

#[derive(Debug, Args)]
pub(crate) struct PsArguments {
    /// Also jobs that are over.
    #[arg(short, long)]
    pub(crate) all: bool,
    /// How it is printed.
    #[arg(short, long, value_enum, default_value_t = OutputForm::Table)]
    pub(crate) output: OutputForm,
    #[command(flatten)]
    pub(crate) coordinators: Coordinators,
}

#[derive(Debug, Args)]
pub(crate) struct NodesArguments {
    /// How it is printed.
    #[arg(short, long, value_enum, default_value_t = OutputForm::Table)]
    pub(crate) output: OutputForm,
    #[command(flatten)]
    pub(crate) coordinators: Coordinators,
}

#[derive(Debug, Args)]
pub(crate) struct DescribeArguments {
    /// Its id, as `convoy submit` and `convoy ps` print it.
    #[arg(value_parser = job_id)]
    pub(crate) job: JobId,
    /// How it is printed.
    #[arg(short, long, value_enum, default_value_t = OutputForm::Table)]
    pub(crate) output: OutputForm,
    #[command(flatten)]
    pub(crate) coordinators: Coordinators,
}

#[derive(Debug, Args)]
pub(crate) struct CancelArguments {
    /// Its id, as `convoy submit` and `convoy ps` print it.
    #[arg(value_parser = job_id)]
    pub(crate) job: JobId,
    /// Why, for everyone who looks at it later.
    #[arg(long, value_name = "TEXT", default_value = "as `convoy cancel` asked")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) coordinators: Coordinators,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArguments {
    /// Its id, as `convoy submit` and `convoy ps` print it.
    #[arg(value_parser = job_id)]
    pub(crate) job: JobId,
    /// Only the worker that has this rank; all of them if neither is named.
    #[arg(long, conflicts_with = "worker")]
    pub(crate) rank: Option<u32>,
    /// Only the worker of this number.
    #[arg(long, value_name = "ID")]
    pub(crate) worker: Option<u32>,
    /// Go on until the job is over, with what is written meanwhile.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Begin so many lines before the end of each log; as far as 16 MiB hold them.
    #[arg(long, value_name = "LINES", value_parser = clap::value_parser!(u32).range(..=i64::from(MAX_TAIL_LINES)))]
    pub(crate) tail: Option<u32>,
    #[command(flatten)]
    pub(crate) coordinators: Coordinators,
}

#[derive(Debug, Args)]
pub(crate) struct ResubmitArguments {
    /// Its id, as `convoy submit` and `convoy ps` print it.
    #[arg(value_parser = job_id)]
    pub(crate) job: JobId,
    /// Worker processes to train with; as many as before if it is left out.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) workers: Option<u32>,
    #[command(flatten)]
    pub(crate) coordinators: Coordinators,
}

fn job_id(text: &str) -> Result<JobId, InvalidId> {
    JobId::try_from(text.to_owned())
}
