//! Coordinators as processes: their configuration file, their first start, SIGTERM.
#![expect(clippy::unwrap_used, reason = "a test that can't go on should panic")]

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use convoy_client::{Caller, CoordinatorsClient, Endpoints, JobsClient};
use tempfile::TempDir;

/// Far beyond what anything here takes; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

const SPEC: &str = r#"{
  "name": "talk", "model": {"name": "small_cnn", "classes": 4},
  "data": {"format": "idx", "train_images": "/a", "train_labels": "/b", "test_images": "/c", "test_labels": "/d", "mean": [0.3], "std": [0.3]},
  "training": {"epochs": 1, "global_batch": 8, "data_shards": 2},
  "optimizer": {"name": "sgd", "learning_rate": 0.1},
  "elastic": {"min_workers": 1, "max_workers": 2},
  "checkpoints": {"folder": "/checkpoints"}
}"#;

/// Loopback addresses of this process alone, so that ports are free whatever else runs.
fn address(id: u8) -> String {
    let [low, high, ..] = std::process::id().to_le_bytes();
    let host = Ipv4Addr::new(127, 1 + low % 200, 1 + high, 100 + id);
    format!("{host}:7700")
}

fn write_config(folder: &Path, id: u8) -> PathBuf {
    let mut text = format!(
        "id = {id}\ncluster = \"test\"\nlisten = \"{}\"\ndata_dir = \"data-{id}\"\n",
        address(id)
    );
    for peer in 1..=3 {
        let address = address(peer);
        text += &format!("[[peers]]\nid = {peer}\naddress = \"http://{address}\"\n");
    }
    let path = folder.join(format!("{id}.toml"));
    fs::write(&path, text).unwrap();
    path
}

fn command(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_convoy-coordinator"));
    command.arg("--config").arg(config);
    command
}

/// A coordinator that ends with the test.
struct Process(Child);

impl Process {
    fn start(config: &Path, flags: &[&str]) -> Self {
        let mut command = command(config);
        let child = command.args(flags).stderr(Stdio::null()).spawn();
        Self(child.unwrap())
    }

    /// As an init system does; its exit code.
    fn terminate(&mut self) -> Option<i32> {
        let pid = self.0.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(told.unwrap().success());
        self.0.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn refused(output: &Output, words: &[&str]) {
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    for word in words {
        assert!(text.contains(word), "{word:?} is missing in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_coordinators_start_once_and_restart_one_by_one() {
    let folder = TempDir::new().unwrap();
    let configs: Vec<PathBuf> = (1..=3).map(|id| write_config(folder.path(), id)).collect();
    refused(
        &command(&configs[0]).output().unwrap(),
        &["data-1 is empty", "--create-cluster"],
    );
    let mut processes: Vec<Process> = configs
        .iter()
        .map(|config| Process::start(config, &["--create-cluster"]))
        .collect();
    let addresses = (1..=3).map(|id| format!("http://{}", address(id)).parse().unwrap());
    let endpoints = Endpoints::new(addresses).unwrap();
    let jobs = JobsClient::connect(&endpoints, PATIENCE).await.unwrap();
    let cluster = CoordinatorsClient::of(Caller::new(endpoints));
    for round in 1..=3 {
        let job = jobs.submit(SPEC.to_owned(), 2).await.unwrap();
        assert_eq!(job.as_str(), format!("talk-{round}"));
        let leader = cluster.status().await.unwrap().leader.unwrap();
        let at = usize::try_from(leader).unwrap() - 1;
        assert_eq!(processes[at].terminate(), Some(0));
        let next = cluster.status().await.unwrap().leader.unwrap();
        assert_ne!(next, leader);
        processes[at] = Process::start(&configs[at], &[]);
    }
    assert_eq!(processes[0].terminate(), Some(0));
    refused(
        &command(&configs[0])
            .arg("--create-cluster")
            .output()
            .unwrap(),
        &["holds data of replica 1 already", "start without"],
    );
}

#[test]
fn wrong_configuration_is_told_with_its_place() {
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("wrong.toml");
    fs::write(
        &config,
        "id = 1\nlisten = \"0.0.0.0:7700\"\ndata_dir = \"d\"\n",
    )
    .unwrap();
    refused(
        &command(&config).output().unwrap(),
        &["wrong.toml:2", "cluster_key"],
    );
}
