//! One worker process from its start to its exit.

use std::ffi::OsString;
use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use convoy_client::Endpoints;
use convoy_common::ids::{JobId, WorkerRef};
use convoy_common::spec::JobSpec;
use convoy_process::{
    Child, ExitDescription, MissingSibling, Signal, SpawnError, Spawner, sibling_binary,
};
use tokio::sync::oneshot;

use crate::log_file::LogFile;
use crate::memory::{Excess, exceeded};
use crate::preflight::{CheckFailure, Environment, Preflight};
use crate::roster::{Assignment, Obituary, Started};

/// The worker's name beside the agent's.
const WORKER_BINARY: &str = "convoy-worker";

/// What all lives share.
#[derive(Debug)]
pub(crate) struct Workplace {
    pub(crate) spawner: Spawner,
    /// Absolute, since workers are told paths below it. Relative paths of a job's spec start here.
    pub(crate) work_dir: PathBuf,
    /// Absolute; the logs of a job are below its work folder if this is not set.
    pub(crate) log_dir: Option<PathBuf>,
    pub(crate) endpoints: Endpoints,
    pub(crate) data_plane: DataPlane,
    pub(crate) worker_binary: Option<PathBuf>,
    pub(crate) memory_limit_mib: Option<u64>,
    /// Between SIGTERM and SIGKILL.
    pub(crate) stop_grace: Duration,
    pub(crate) preflight: Preflight,
}

impl Workplace {
    /// The folder of a job's logs, which need not be there.
    pub(crate) fn logs_of(&self, job: &JobId) -> PathBuf {
        match &self.log_dir {
            Some(log_dir) => log_dir.join(job.as_str()),
            None => self.work_dir.join(job.as_str()).join("logs"),
        }
    }
}

/// How workers reach each other.
#[derive(Clone, Debug)]
pub(crate) struct DataPlane {
    /// Where they listen.
    pub(crate) listen: IpAddr,
    /// What they tell others.
    pub(crate) advertised: IpAddr,
    /// Any, if not said.
    pub(crate) ports: Option<RangeInclusive<u16>>,
    /// Absolute.
    pub(crate) cluster_key: Option<PathBuf>,
    pub(crate) insecure: bool,
}

/// Why there is no process.
#[derive(Debug, thiserror::Error)]
enum LaunchError {
    #[error("its job spec is no good: {0}")]
    Spec(#[from] convoy_common::spec::SpecErrors),
    #[error(transparent)]
    Files(#[from] convoy_files::FileError),
    #[error("cannot open its log in {folder}: {source}")]
    Log { folder: PathBuf, source: io::Error },
    #[error(transparent)]
    Missing(#[from] MissingSibling),
    #[error(transparent)]
    Check(#[from] CheckFailure),
    #[error("{0}; another worker binary is named with --worker-binary")]
    Spawn(#[from] SpawnError),
    #[error("it was stopped before it ran")]
    Stopped,
}

/// A process that runs.
struct Running {
    child: Child,
    log: LogFile,
    exited: oneshot::Receiver<ExitDescription>,
}

/// Starts the worker, tells `started`, waits for its exit and returns how it ended. `stop` (sent or dropped) begins the
/// orderly end at any time, also while the worker is still being started.
pub(crate) async fn live(
    workplace: &Workplace,
    assignment: &Assignment,
    mut stop: oneshot::Receiver<()>,
    started: impl FnOnce(Started),
) -> Obituary {
    let worker = &assignment.worker;
    let launched = tokio::select! {
        biased;
        _ = &mut stop => Err(LaunchError::Stopped),
        launched = launch(workplace, assignment) => launched,
    };
    let mut running = match launched {
        Ok(running) => running,
        Err(error) => return stillborn(worker, error),
    };
    let pid = running.child.pid();
    started(Started {
        worker: worker.clone(),
        pid,
        log_path: running.log.path.clone(),
    });
    let mut excess = None;
    let exit = tokio::select! {
        biased;
        exit = &mut running.exited => exit,
        _ = stop => {
            running.child.begin_stop(workplace.stop_grace);
            running.exited.await
        }
        exceeded = exceeded(pid, workplace.memory_limit_mib) => {
            excess = end_for(exceeded, worker, &running.child);
            running.exited.await
        }
    };
    // The sender is dropped unsent only when the thread that waits died.
    let exit = exit.unwrap_or_else(|_| running.child.wait());
    let how = match excess {
        Some(excess) => format!("{excess}: {}", exit.how),
        None => exit.how,
    };
    Obituary {
        worker: worker.clone(),
        pid: Some(pid),
        how,
        clean: exit.clean,
        last_lines: running.log.last_lines(),
        log_path: Some(running.log.path),
    }
}

/// Kills a worker that uses too much memory; asked to end, it would go on until its next step. Returns the reason, unless
/// it had ended for another.
fn end_for(excess: Excess, worker: &WorkerRef, child: &Child) -> Option<Excess> {
    match child.signal(Signal::KILL) {
        Ok(true) => {
            tracing::warn!(%worker, %excess, "killed");
            Some(excess)
        }
        Ok(false) => None,
        Err(error) => {
            tracing::error!(%worker, %excess, %error, "not killed");
            Some(excess)
        }
    }
}

fn stillborn(worker: &WorkerRef, error: LaunchError) -> Obituary {
    let how = format!("could not be started: {error}");
    let (last_lines, log_path) = match error {
        LaunchError::Check(CheckFailure::Failed {
            last_lines, log, ..
        }) => (last_lines, Some(log)),
        LaunchError::Check(CheckFailure::Silent { log, .. }) => (Vec::new(), Some(log)),
        LaunchError::Check(CheckFailure::Log { .. } | CheckFailure::Spawn(_))
        | LaunchError::Spec(_)
        | LaunchError::Files(_)
        | LaunchError::Log { .. }
        | LaunchError::Missing(_)
        | LaunchError::Spawn(_)
        | LaunchError::Stopped => (Vec::new(), None),
    };
    Obituary {
        worker: worker.clone(),
        pid: None,
        how,
        clean: false,
        last_lines,
        log_path,
    }
}

async fn launch(workplace: &Workplace, assignment: &Assignment) -> Result<Running, LaunchError> {
    let mut spec = JobSpec::from_json(&assignment.spec_json)?;
    spec.resolve_paths(&workplace.work_dir);
    let environment = environment(&spec);
    let folder = workplace.work_dir.join(assignment.worker.job.as_str());
    let logs = workplace.logs_of(&assignment.worker.job);
    convoy_files::ensure_folder(&folder)?;
    convoy_files::ensure_folder(&logs)?;
    let program = match &workplace.worker_binary {
        Some(named) => named.clone(),
        None => sibling_binary(WORKER_BINARY)?,
    };
    workplace
        .preflight
        .ensure(&workplace.spawner, &program, &environment, &logs)
        .await?;
    let spec_file = folder.join("spec.json");
    let spec_json = spec.to_json()?;
    convoy_files::replace(&spec_file, |file| {
        io::Write::write_all(file, spec_json.as_bytes())
    })?;

    // From here on nothing waits: a cancelled launch can't leave a process that nobody knows of.
    let no_log = |source| LaunchError::Log {
        folder: logs.clone(),
        source,
    };
    let log = LogFile::open(&logs, &assignment.worker).map_err(no_log)?;
    let mut command = Command::new(program);
    command
        .args(arguments(workplace, &assignment.worker, &spec_file))
        .envs(environment)
        .stdout(log.writer().map_err(no_log)?)
        .stderr(log.writer().map_err(no_log)?);
    let (sender, exited) = oneshot::channel();
    let child = workplace.spawner.spawn(command, move |exit| {
        // The life listens until it has heard this.
        let _ = sender.send(exit.clone());
    })?;
    Ok(Running { child, log, exited })
}

fn arguments(workplace: &Workplace, worker: &WorkerRef, spec_file: &Path) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec![
        "--coordinator".into(),
        workplace.endpoints.to_string().into(),
        "--job".into(),
        worker.job.as_str().into(),
        "--worker-id".into(),
        worker.worker.to_string().into(),
        "--incarnation".into(),
        worker.incarnation.to_string().into(),
        "--spec-file".into(),
        spec_file.into(),
    ];
    arguments.extend(workplace.data_plane.arguments());
    arguments
}

impl DataPlane {
    fn arguments(&self) -> Vec<OsString> {
        let Self {
            listen,
            advertised,
            ports,
            cluster_key,
            insecure,
        } = self;
        let mut arguments: Vec<OsString> =
            vec!["--advertised-host".into(), advertised.to_string().into()];
        if listen != advertised {
            arguments.extend(["--listen-host".into(), listen.to_string().into()]);
        }
        if let Some(ports) = ports {
            let ports = format!("{}-{}", ports.start(), ports.end());
            arguments.extend(["--data-ports".into(), ports.into()]);
        }
        if let Some(key) = cluster_key {
            arguments.extend(["--cluster-key".into(), key.into()]);
        }
        if *insecure {
            arguments.push("--insecure".into());
        }
        arguments
    }
}

/// What the worker's environment has beyond the agent's own.
fn environment(spec: &JobSpec) -> Environment {
    // Idle threads of one worker must not spin on the cores of another. The spec may not say otherwise.
    let mut environment = Environment::from([("OMP_WAIT_POLICY".to_owned(), "passive".to_owned())]);
    environment.extend(spec.env.clone());
    // The spec has a key of its own for this one.
    environment.insert(
        "OMP_NUM_THREADS".to_owned(),
        spec.training.threads_per_worker.to_string(),
    );
    environment
}
