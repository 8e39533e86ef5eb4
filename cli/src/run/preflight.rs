//! Everything that can be known to be wrong before a process is started.

use std::env::current_dir;
use std::net::SocketAddr;
use std::path::{PathBuf, absolute};

use anyhow::Context;
use convoy_access::Access;
use convoy_common::ids::JobId;
use convoy_common::spec::{JobSpec, check_message};

use super::job_number::{self, Claim};
use crate::arguments::RunArguments;
use crate::spec_file::{self, Workload};
use crate::starting_weights;
use crate::words::{count, grouped};

/// A run that can start as far as that can be told.
pub(crate) struct Checked {
    /// With absolute paths.
    pub(crate) spec: JobSpec,
    /// The same as it travels.
    pub(crate) spec_json: String,
    /// How much there is to do.
    pub(crate) workload: Workload,
    /// What the weights start from, if that is a file.
    pub(crate) weights: Option<String>,
    pub(crate) workers: u32,
    pub(crate) listen: SocketAddr,
    /// Whom the coordinator lets in.
    pub(crate) access: Access,
    /// Absolute.
    pub(crate) cluster_key: Option<PathBuf>,
    /// The working directory.
    pub(crate) folder: PathBuf,
    /// Absolute; writable.
    pub(crate) work_dir: PathBuf,
    pub(crate) agent_binary: PathBuf,
    /// The number that makes the job's id one that no earlier run has.
    pub(crate) claim: Claim,
}

impl Checked {
    /// The id that the job will have.
    pub(crate) fn job(&self) -> &JobId {
        self.claim.job()
    }
}

/// Checks spec, data, folders and binaries.
pub(crate) fn check(arguments: &RunArguments) -> anyhow::Result<Checked> {
    let cluster_key = arguments.cluster_key.as_deref();
    let access = Access::open(cluster_key, arguments.insecure)?;
    access.check_listen(arguments.listen.ip())?;
    let spec = spec_file::read(&arguments.spec)?;
    spec.check_workers(arguments.workers)?;
    let spec_json = spec.to_json()?;
    check_message(&spec_json, arguments.workers)?;
    let workload = spec_file::check_data(&spec)?;
    let weights = starting_weights::check(&spec.model)?;
    let checkpoints = &spec.checkpoints.folder;
    convoy_files::probe_writable(checkpoints).context("checkpoints.folder can't be written to")?;
    let work_dir = absolute(&arguments.work_dir).context("--work-dir is no path")?;
    convoy_files::probe_writable(&work_dir).context("--work-dir can't be written to")?;
    let agent_binary = convoy_process::sibling_binary("convoy-agent")?;
    convoy_process::sibling_binary("convoy-worker")?;
    let claim = job_number::claim(&spec.name, checkpoints, &work_dir)?;
    Ok(Checked {
        spec,
        spec_json,
        workload,
        weights,
        workers: arguments.workers,
        listen: arguments.listen,
        access,
        cluster_key: cluster_key
            .map(absolute)
            .transpose()
            .context("--cluster-key is no path")?,
        folder: current_dir().context("the working directory is gone")?,
        work_dir,
        agent_binary,
        claim,
    })
}

/// What is going to happen, in two or three lines.
pub(crate) fn summary(checked: &Checked) -> Vec<String> {
    let Checked {
        spec,
        workload,
        weights,
        workers,
        ..
    } = checked;
    let Workload { plan, test_samples } = workload;
    let steps = plan.steps() * u64::from(spec.training.epochs);
    let mut lines = vec![
        format!(
            "job {}: {} for {} ({} of {} images)",
            checked.job(),
            count(u64::from(*workers), "worker"),
            count(u64::from(spec.training.epochs), "epoch"),
            count(steps, "step"),
            spec.training.global_batch
        ),
        format!(
            "data: {} training and {} test images",
            grouped(plan.samples()),
            grouped(*test_samples)
        ),
    ];
    lines.extend(weights.clone());
    lines
}
