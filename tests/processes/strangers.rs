//! Off loopback nothing listens without the cluster's key, unless someone says that everyone may come in.

use std::fs;
use std::path::Path;
use std::process::Command;

use harness::{Bench, binary};
use tempfile::TempDir;

use super::{refused, unchanged};

/// Of a net for documentation, which nobody has.
const ADDRESS: &str = "192.0.2.1";

/// What every program says that was given an address by a flag.
const OPEN: &str = "192.0.2.1 can be reached from other machines, and whoever reaches it could run jobs here: give every \
                    process of the cluster the same --cluster-key FILE, or say --insecure to let everyone in, or listen on \
                    127.0.0.1 or [::1]";

const SPEC: &str = r#"{
  "name": "tiny", "model": {"name": "small_cnn", "classes": 4},
  "data": {"format": "idx", "train_images": "/a", "train_labels": "/b", "test_images": "/c", "test_labels": "/d", "mean": [0.3], "std": [0.3]},
  "training": {"epochs": 1, "global_batch": 8, "data_shards": 2},
  "optimizer": {"name": "sgd", "learning_rate": 0.1},
  "elastic": {"min_workers": 1, "max_workers": 2},
  "checkpoints": {"folder": "/checkpoints"}
}"#;

/// Runs a program that must refuse to run; what it says.
fn complaint(mut command: Command) -> String {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(output.stdout.is_empty(), "{:?}", output.stdout);
    said
}

/// The program with a configuration file of this text in `folder`.
fn configured(program: &str, folder: &Path, text: &str) -> Command {
    fs::write(folder.join("own.toml"), text).expect("the test's own folder can be written");
    let mut command = Command::new(binary(program));
    command.args(["--config", "own.toml"]).current_dir(folder);
    command
}

/// What is said of the key `listen` in the second line of a configuration.
fn open_at_listen(program: &str, value: &str) -> String {
    let underlined = "^".repeat(value.len() + 2);
    format!(
        "{program}: own.toml:2:10: listen: {ADDRESS} can be reached from other machines, and nothing keeps strangers out\n\
         2 | listen = \"{value}\"\n\x20 |          {underlined}\n\x20 = set cluster_key = \"FILE\", the same file on every \
         node, or insecure = true to let everyone in\n"
    )
}

#[test]
fn a_coordinator_listens_for_strangers_only_if_told_so() {
    let folder = TempDir::new().unwrap();
    let text = format!("id = 1\nlisten = \"{ADDRESS}:7700\"\ndata_dir = \"data\"\n");
    let said = complaint(configured("convoy-coordinator", folder.path(), &text));
    assert_eq!(said, open_at_listen("error", "192.0.2.1:7700"));
    assert!(!folder.path().join("data").exists(), "nothing was begun");
}

#[test]
fn an_agents_workers_listen_for_strangers_only_if_told_so() {
    let folder = TempDir::new().unwrap();
    let text = format!(
        "node_id = \"n1\"\nlisten = \"{ADDRESS}\"\ncoordinators = [\"http://127.0.0.1:7700\"]\nslots = 1\nwork_dir = \"work\"\n"
    );
    let said = complaint(configured("convoy-agent", folder.path(), &text));
    assert_eq!(said, open_at_listen("convoy-agent", ADDRESS));
    let mut flags = Command::new(binary("convoy-agent"));
    flags
        .args(["--coordinator", "http://127.0.0.1:7700", "--node-id", "n1"])
        .args(["--slots", "1", "--advertised-host", ADDRESS, "--work-dir"])
        .arg(folder.path().join("work"));
    assert_eq!(complaint(flags), format!("convoy-agent: {OPEN}\n"));
    assert!(!folder.path().join("work").exists(), "nothing was begun");
}

#[test]
fn a_worker_listens_for_strangers_only_if_told_so() {
    let folder = TempDir::new().unwrap();
    let spec = folder.path().join("spec.json");
    fs::write(&spec, SPEC).unwrap();
    let mut worker = Command::new(binary("convoy-worker"));
    worker
        .args(["--coordinator", "http://127.0.0.1:7700", "--job", "tiny-1"])
        .args(["--worker-id", "0", "--incarnation", "1"])
        .args(["--advertised-host", ADDRESS, "--spec-file"])
        .arg(&spec);
    let said = complaint(worker);
    assert_eq!(
        said,
        format!("error: cannot listen for other workers: {OPEN}\n")
    );
}

#[test]
fn a_run_listens_for_strangers_only_if_told_so() {
    let bench = Bench::new();
    let spec = bench.spec(1, unchanged);
    let ended = bench.run(&spec, 1, &["--listen", "192.0.2.1:0"]).wait();
    assert_eq!(ended.code, Some(1), "{}", ended.text);
    refused(&bench, &ended, &[&format!("error: {OPEN}")]);
}
