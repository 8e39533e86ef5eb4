//! The command line, parsed once into what can't be wrong.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Parser;
use convoy_access::Access;
use convoy_client::Endpoints;
use convoy_common::ids::{Incarnation, JobId, WorkerId, WorkerRef};
use convoy_common::limits::MAX_MESSAGE_BYTES;
use convoy_common::spec::JobSpec;

use crate::bench::BenchCommand;

/// One worker of a job. Agents start it; by hand it is of little use.
#[derive(Debug, Parser)]
#[command(
    version,
    subcommand_negates_reqs = true,
    args_conflicts_with_subcommands = true
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    bench: Option<BenchCommand>,
    /// Check that this program can run here, print what it was built for as one line of JSON, and end.
    #[arg(long)]
    check: bool,
    /// Where the coordinators are, http://host:port,http://host:port; any of them leads to the others.
    #[arg(long, required_unless_present = "check")]
    coordinator: Option<Endpoints>,
    /// The job to work for.
    #[arg(long, required_unless_present = "check")]
    job: Option<String>,
    /// The place in the job.
    #[arg(long, required_unless_present = "check")]
    worker_id: Option<u32>,
    /// Which life of that place this process is.
    #[arg(long, required_unless_present = "check")]
    incarnation: Option<u64>,
    /// The job spec as JSON.
    #[arg(long, required_unless_present = "check")]
    spec_file: Option<PathBuf>,
    /// The address that other workers reach this one at.
    #[arg(long, default_value = "127.0.0.1")]
    advertised_host: IpAddr,
    /// The address to listen on for other workers; otherwise the one that they reach it at.
    #[arg(long)]
    listen_host: Option<IpAddr>,
    /// First and last port to listen on, FIRST-LAST; otherwise any free one.
    #[arg(long, value_parser = ports)]
    data_ports: Option<RangeInclusive<u16>>,
    /// File with the cluster's key, which coordinators and other workers must know too.
    #[arg(long)]
    cluster_key: Option<PathBuf>,
    /// Let every worker in that reaches this one, without a cluster key.
    #[arg(long, conflicts_with = "cluster_key")]
    insecure: bool,
    /// The process that must outlive this one.
    #[arg(long)]
    parent_pid: Option<u32>,
}

/// What to do.
pub(crate) enum Mode {
    /// Print what the program was built for.
    Check,
    /// Do turns for a benchmark.
    Bench(BenchCommand),
    /// Work for a job.
    Work(Box<Work>),
}

/// All that a worker starts from.
pub(crate) struct Work {
    /// With the cluster's key, if there is one.
    pub(crate) coordinators: Endpoints,
    pub(crate) me: WorkerRef,
    pub(crate) spec: JobSpec,
    /// Where other workers are told to connect to.
    pub(crate) advertised_host: IpAddr,
    /// Where the ring listens.
    pub(crate) listen_host: IpAddr,
    /// On which ports; 0 means any.
    pub(crate) data_ports: RangeInclusive<u16>,
    pub(crate) access: Access,
}

impl Arguments {
    /// The process that must outlive this one, whatever this one does.
    pub(crate) fn parent_pid(&self) -> Option<u32> {
        match &self.bench {
            Some(bench) => bench.member().parent_pid,
            None => self.parent_pid,
        }
    }

    /// # Errors
    /// If an id is malformed, or the spec or the cluster key can't be read.
    pub(crate) fn mode(self) -> anyhow::Result<Mode> {
        if let Some(bench) = self.bench {
            return Ok(Mode::Bench(bench));
        }
        let (Some(coordinator), Some(job), Some(worker), Some(incarnation), Some(spec_file)) = (
            self.coordinator,
            self.job,
            self.worker_id,
            self.incarnation,
            self.spec_file,
        ) else {
            return Ok(Mode::Check);
        };
        let me = WorkerRef {
            job: JobId::try_from(job)?,
            worker: WorkerId(worker),
            incarnation: Incarnation(incarnation),
        };
        let access = Access::open(self.cluster_key.as_deref(), self.insecure)?;
        Ok(Mode::Work(Box::new(Work {
            coordinators: coordinator.with_key(access.key().cloned()),
            me,
            spec: read_spec(&spec_file)?,
            advertised_host: self.advertised_host,
            listen_host: self.listen_host.unwrap_or(self.advertised_host),
            data_ports: self.data_ports.unwrap_or(0..=0),
            access,
        })))
    }
}

fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let wanted = || format!("{text:?} is no range of ports: write it as 7800-7863");
    let (first, last) = text.split_once('-').ok_or_else(wanted)?;
    let parsed = (first.parse::<u16>(), last.parse::<u16>());
    match parsed {
        (Ok(first), Ok(last)) if 0 < first && first <= last => Ok(first..=last),
        (Ok(_) | Err(_), Ok(_) | Err(_)) => Err(wanted()),
    }
}

fn read_spec(path: &PathBuf) -> anyhow::Result<JobSpec> {
    let bytes = std::fs::metadata(path)
        .with_context(|| format!("cannot read the job spec {}", path.display()))?
        .len();
    // As JSON it came in a message, and is longer than the TOML that someone wrote.
    if bytes > MAX_MESSAGE_BYTES as u64 {
        bail!(
            "the job spec {} has {bytes} bytes, at most {MAX_MESSAGE_BYTES} are read",
            path.display()
        );
    }
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the job spec {}", path.display()))?;
    JobSpec::from_json(&text)
        .with_context(|| format!("the job spec {} is not valid", path.display()))
}
