//! Agents and workers as processes. A worker that must know how to die with its agent, and a parent for an agent, are this
//! test binary again, as `role_in_a_child`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use convoy_process::{Child, ExitDescription, Signal, Spawner, die_with_parent};
use convoy_proto::v1;
use tempfile::TempDir;

use crate::coordinator::{Coordinator, DEADLINE};

const ROLE: &str = "CONVOY_AGENT_TEST_ROLE";

/// What a fake worker does to wait for its end, ready to die with the agent.
pub(crate) const WAIT: &str = r#"exec env CONVOY_AGENT_TEST_ROLE=worker "$SELF" --exact processes::role_in_a_child --nocapture"#;

/// What a fake worker does to take [`GLUTTON_MIB`] of memory and hold it.
pub(crate) const DEVOUR: &str = r#"exec env CONVOY_AGENT_TEST_ROLE=glutton "$SELF" --exact processes::role_in_a_child --nocapture"#;

/// Far more than a test binary that waits.
pub(crate) const GLUTTON_MIB: usize = 192;

/// An agent with a folder of its own; it ends when this is dropped, or the test's process is gone.
pub(crate) struct Agent {
    pub(crate) child: Child,
    pub(crate) folder: TempDir,
}

impl Agent {
    /// An agent of two slots whose worker is `fake-worker.sh`.
    pub(crate) fn start(coordinator: &Coordinator) -> Self {
        Self::start_with(
            coordinator,
            &["--worker-binary", fake_worker().to_str().unwrap()],
        )
    }

    pub(crate) fn start_with(coordinator: &Coordinator, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let work = folder.path().join("work");
        Self::start_in(folder, &work, coordinator, more)
    }

    pub(crate) fn start_in(
        folder: TempDir,
        work: &Path,
        coordinator: &Coordinator,
        more: &[&str],
    ) -> Self {
        let mut command = command(&coordinator.url, folder.path(), work);
        command.args(more);
        Self {
            child: spawn(command),
            folder,
        }
    }

    /// An agent with nothing but a configuration file of this text in `folder`.
    pub(crate) fn configured(folder: TempDir, text: &str) -> Self {
        let file = folder.path().join("agent.toml");
        fs::write(&file, text).unwrap();
        let mut command = bare_command(folder.path());
        command.arg("--config").arg(file);
        Self {
            child: spawn(command),
            folder,
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        assert!(self.child.signal(signal).unwrap(), "the agent runs");
    }

    /// How it ended.
    pub(crate) async fn exit(&self) -> ExitDescription {
        let child = self.child.clone();
        let exit = tokio::task::spawn_blocking(move || child.wait_for(DEADLINE))
            .await
            .unwrap();
        exit.expect("the agent did not end")
    }

    /// What it wrote to standard error.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("agent.log")).unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.child.begin_stop(Duration::ZERO);
        let _ = self.child.wait_for(DEADLINE);
    }
}

pub(crate) fn fake_worker() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agent/fake-worker.sh")
}

/// The agent without arguments, its output in `folder`.
fn bare_command(folder: &Path) -> Command {
    let log = fs::File::create(folder.join("agent.log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_convoy-agent"));
    command
        .env("SELF", std::env::current_exe().unwrap())
        .stdout(Stdio::null())
        .stderr(log);
    command
}

fn command(url: &str, folder: &Path, work: &Path) -> Command {
    let mut command = bare_command(folder);
    command
        .args([
            "--coordinator",
            url,
            "--node-id",
            "local",
            "--slots",
            "2",
            "--work-dir",
        ])
        .arg(work);
    command
}

fn spawn(command: Command) -> Child {
    Spawner::start().unwrap().spawn(command, |_| ()).unwrap()
}

/// A process that starts an agent in `folder` and waits; its pid is that of the agent's parent.
pub(crate) fn parent_of_an_agent(coordinator: &Coordinator, folder: &Path) -> Child {
    let mut command = Command::new("/bin/sh");
    command
        .args([
            "-c",
            r#"export PARENT=$2; exec "$0" --exact processes::role_in_a_child --nocapture"#,
        ])
        .arg(std::env::current_exe().unwrap())
        .envs([(ROLE, "parent"), ("URL", &coordinator.url)])
        .env("FOLDER", folder)
        .stdout(Stdio::null());
    spawn(command)
}

/// Not a test of its own: what children of the tests run.
#[test]
fn role_in_a_child() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    die_with_parent(
        std::env::var("PARENT").unwrap().parse().unwrap(),
        Signal::KILL,
    )
    .unwrap();
    let _agent = match role.as_str() {
        "worker" => {
            println!("waiting");
            None
        }
        "glutton" => {
            // Each page is written, so that it is there.
            let memory = vec![1u8; GLUTTON_MIB << 20];
            println!("holding {} bytes", std::hint::black_box(&memory).len());
            loop {
                std::thread::park();
            }
        }
        "parent" => {
            let folder = PathBuf::from(std::env::var("FOLDER").unwrap());
            let mut command = command(
                &std::env::var("URL").unwrap(),
                &folder,
                &folder.join("work"),
            );
            command.arg("--worker-binary").arg(fake_worker());
            Some(spawn(command))
        }
        unknown => panic!("no role {unknown}"),
    };
    loop {
        std::thread::park();
    }
}

/// A worker in `slot` that runs `work` in a shell.
pub(crate) fn assignment(id: u32, incarnation: u64, work: &str) -> v1::Assignment {
    assignment_with(id, incarnation, &[("WORK", work)])
}

pub(crate) fn assignment_with(
    id: u32,
    incarnation: u64,
    environment: &[(&str, &str)],
) -> v1::Assignment {
    let environment: serde_json::Map<_, _> = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).into()))
        .collect();
    v1::Assignment {
        worker: Some(worker(id, incarnation)),
        slot: id,
        spec_json: serde_json::json!({
            "name": "toy",
            "model": {"name": "small_cnn", "classes": 10},
            "data": {
                "format": "idx", "mean": [0.5], "std": [0.5],
                "train_images": "/data/a", "train_labels": "/data/b",
                "test_images": "/data/c", "test_labels": "/data/d",
            },
            "training": {"epochs": 1, "global_batch": 64, "threads_per_worker": 3},
            "optimizer": {"name": "sgd", "learning_rate": 0.1},
            "checkpoints": {"folder": "/data/checkpoints"},
            "env": environment,
        })
        .to_string(),
    }
}

pub(crate) fn worker(id: u32, incarnation: u64) -> v1::WorkerRef {
    v1::WorkerRef {
        job_id: "toy-1".to_owned(),
        worker_id: id,
        incarnation,
    }
}

/// Waits until no process of that number runs.
pub(crate) async fn gone(pid: u32) {
    // A zombie has ended; who inherited it decides when it vanishes.
    eventually(&format!("process {pid} is gone"), || {
        fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| {
            stat.rsplit(')')
                .next()
                .is_some_and(|rest| rest.starts_with(" Z"))
        })
    })
    .await;
}

pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < DEADLINE, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
