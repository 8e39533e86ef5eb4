//! The agent of a local run: a child process whose workers are its own children.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use convoy_files::FileError;
use convoy_process::{Child, ExitDescription, Signal, SignalError, Spawner};
use tokio::sync::watch;
use tokio::time::timeout;

/// Name of this machine in a cluster that has no other.
const NODE: &str = "local";

/// The agent gives its workers a few seconds to end; this is longer, and still within a person's patience.
const GRACE: Duration = Duration::from_secs(10);

/// How to start it.
pub(crate) struct AgentCommand<'a> {
    /// The binary.
    pub(crate) binary: &'a Path,
    /// `http://host:port` of the coordinator.
    pub(crate) coordinator: String,
    /// The key that it shares with the coordinator, if there is one. Absolute.
    pub(crate) cluster_key: Option<&'a Path>,
    /// Workers it may run.
    pub(crate) slots: u32,
    /// Where it keeps what belongs to jobs.
    pub(crate) work_dir: &'a Path,
    /// Its own log; its folder exists.
    pub(crate) log: PathBuf,
}

/// A running agent. The kernel ends it when this process ends, however that happens.
pub(crate) struct LocalAgent {
    child: Child,
    log: PathBuf,
    exit: watch::Receiver<Option<ExitDescription>>,
}

impl LocalAgent {
    /// Starts it.
    pub(crate) fn start(command: AgentCommand<'_>) -> anyhow::Result<Self> {
        let output = open_log(&command.log)?;
        let errors = output
            .try_clone()
            .map_err(|source| FileError::new("open", &command.log, source))?;
        let mut process = Command::new(command.binary);
        process
            .args(["--coordinator", &command.coordinator, "--node-id", NODE])
            .args(["--slots", &command.slots.to_string(), "--work-dir"])
            .arg(command.work_dir)
            .stdout(output)
            .stderr(errors);
        if let Some(key) = command.cluster_key {
            process.arg("--cluster-key").arg(key);
        }
        let (told, exit) = watch::channel(None);
        let child = Spawner::start()?.spawn(process, move |how| {
            told.send_replace(Some(how.clone()));
        })?;
        Ok(Self {
            child,
            log: command.log,
            exit,
        })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Its log.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// How it ended, once it has. Cancelling the wait loses nothing.
    pub(crate) async fn exited(&mut self) -> ExitDescription {
        match self.exit.wait_for(Option::is_some).await {
            Ok(how) => how.clone().unwrap_or_else(unknown_exit),
            Err(_) => unknown_exit(),
        }
    }

    /// Ends it in order: it ends its workers first. Kills it when that takes too long.
    pub(crate) async fn stop(&mut self) -> ExitDescription {
        self.child.begin_stop(GRACE);
        self.exited().await
    }

    /// Ends it and its workers at once.
    pub(crate) async fn kill(&mut self) -> Result<(), SignalError> {
        self.child.signal(Signal::KILL)?;
        // It can't refuse. Where the kernel holds it in an uninterruptible call, nobody is helped by waiting longer.
        let _ = timeout(GRACE, self.exited()).await;
        Ok(())
    }
}

/// The thread that waits for the child went away without a word, which it never does.
fn unknown_exit() -> ExitDescription {
    ExitDescription {
        clean: false,
        how: "ended, but how is unknown".to_owned(),
    }
}

fn open_log(log: &Path) -> Result<File, FileError> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .map_err(|source| FileError::new("open", log, source))
}
