//! `convoy bench` with real members and tiny settings: what it writes, not how fast it is.

use std::fs;

use harness::{Run, convoy, signal};
use serde_json::Value;

/// Runs `convoy bench` without PyTorch; what its `--json` file says.
fn bench(arguments: &[&str]) -> Value {
    let without_python = ["--without-python"];
    bench_alone(&[arguments, &without_python].concat()).0
}

/// Runs `convoy bench` in a folder of its own, in which nothing else is left then; what its `--json` file says, and what it
/// printed.
fn bench_alone(arguments: &[&str]) -> (Value, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("figures.json");
    let output = convoy()
        .arg("bench")
        .args(arguments)
        .args(["--rounds", "1", "--json"])
        .arg(&file)
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let figures = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    (
        figures,
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

/// A positive number for every round.
fn measured(seconds: &Value, rounds: usize) {
    let seconds = seconds.as_array().unwrap();
    assert_eq!(seconds.len(), rounds);
    assert!(seconds.iter().all(|time| time.as_f64().unwrap() > 0.0));
}

#[test]
fn allreduce_benchmark_measures_each_size_and_finds_no_wrong_sum() {
    let figures = bench(&["allreduce", "--sizes", "1KiB,64KiB", "--processes", "2"]);
    assert_eq!(figures["benchmark"], "allreduce");
    assert!(figures["machine"]["cores"].as_u64().unwrap() > 0);
    let rows = figures["rows"].as_array().unwrap();
    let sizes: Vec<_> = rows.iter().map(|row| row["bytes"].as_u64()).collect();
    assert_eq!(sizes, [Some(1_024), Some(65_536)]);
    for row in rows {
        assert_eq!(row["processes"], 2);
        let contenders = row["contenders"].as_array().unwrap();
        assert_eq!(contenders.len(), 1);
        assert_eq!(contenders[0]["name"], "convoy");
        assert_eq!(contenders[0]["wrong"], 0);
        measured(&contenders[0]["seconds"], 1);
    }
}

#[test]
fn training_benchmark_measures_each_number_of_shards_with_one_and_two_workers() {
    let figures = bench(&[
        "train",
        "--model",
        "small_cnn",
        "--batch",
        "16",
        "--steps",
        "2",
        "--shards",
        "2,8",
    ]);
    let cases = figures["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 2);
    for (case, workers) in cases.iter().zip([1, 2]) {
        assert_eq!(case["workers"], workers);
        let outcomes = case["outcomes"].as_array().unwrap();
        let expected = [(2, "fast"), (2, "bitwise"), (8, "fast"), (8, "bitwise")];
        for (outcome, (shards, mode)) in outcomes.iter().zip(expected) {
            assert_eq!(outcome["contender"]["program"], "convoy");
            assert_eq!(outcome["contender"]["reproducibility"], mode);
            assert_eq!(outcome["contender"]["micro_batches"], shards / workers);
            measured(&outcome["step_seconds"][0], 2);
            assert!(outcome["loss"].as_f64().unwrap() > 0.0);
        }
        assert_eq!(outcomes.len(), expected.len());
    }
}

#[test]
fn end_to_end_benchmark_trains_on_the_dataset() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    convoy_data::synthetic::write_idx_dataset(&data, 240, 40, 28, 10, 7).unwrap();
    let figures = bench(&[
        "train",
        "--end-to-end",
        "--batch",
        "16",
        "--steps",
        "2",
        "--shards",
        "2",
        "--workers",
        "1",
        "--data",
        data.to_str().unwrap(),
    ]);
    let outcome = &figures["cases"][0]["outcomes"][0];
    assert_eq!(outcome["contender"]["dataset"], true);
    measured(&outcome["step_seconds"][0], 2);
}

const TINY_COORDINATOR: [&str; 8] = [
    "coordinator",
    "--without-etcd",
    "--writers",
    "8",
    "--turn-ms",
    "50",
    "--watch-s",
    "1",
];

#[test]
fn coordinator_benchmark_writes_reads_kills_leaders_and_reaches_every_agent() {
    let more = ["--readers", "4", "--kills", "2", "--agents", "50"];
    let (figures, text) = bench_alone(&[&TINY_COORDINATOR[..], &more].concat());
    assert_eq!(figures["benchmark"], "coordinator");
    let rows = figures["rows"].as_array().unwrap();
    let cases: Vec<_> = rows
        .iter()
        .map(|row| (row["what"].as_str().unwrap(), row["clients"].as_u64()))
        .collect();
    let expected = [("write", Some(1)), ("write", Some(8)), ("read", Some(4))];
    assert_eq!(cases, expected);
    for row in rows {
        for figure in ["rate", "p50_us", "p99_us"] {
            measured(&row["convoy"][figure], 1);
        }
        assert!(row["etcd"].is_null());
    }
    measured(&figures["leader_kill_gap_seconds"]["convoy"], 2);
    let agents = &figures["agents"];
    measured(&agents["directive_seconds"], 50);
    assert!(agents["resident_bytes"].as_u64().unwrap() > 0);
    for part in ["8 writers", "4 readers", "2 kills", "50 agents"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[test]
fn an_interrupted_benchmark_of_coordinators_leaves_neither_process_nor_data() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = convoy();
    command.arg("bench").args(TINY_COORDINATOR);
    command.args(["--rounds", "1000000", "--data-dir"]);
    command.arg(folder.path().join("data"));
    let mut run = Run::start(command, folder.path());
    run.wait_for_line("all members are up");
    signal(run.pid(), "INT");
    let ended = run.wait();
    assert_eq!(ended.code, Some(130), "{}", ended.text);
    let none = std::collections::BTreeSet::new();
    assert_eq!(ended.new_files, none);
}

#[test]
fn a_killed_benchmark_of_coordinators_takes_them_along() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = convoy();
    command.arg("bench").args(TINY_COORDINATOR);
    command.args(["--rounds", "1000000", "--data-dir"]);
    command.arg(folder.path().join("data"));
    let mut run = Run::start(command, folder.path());
    run.wait_for_line("all members are up");
    signal(run.pid(), "KILL");
    assert_eq!(run.wait().code, None);
}

#[test]
fn an_etcd_that_is_none_is_told_with_how_to_get_one() {
    let output = convoy()
        .args(["bench", "coordinator", "--etcd", "/nowhere/etcd"])
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{words}");
    for part in ["/nowhere/etcd", "etcd-server", "--without-etcd"] {
        assert!(words.contains(part), "{part} is missing in {words}");
    }
}

#[test]
fn an_interrupted_benchmark_leaves_no_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = convoy();
    command.args([
        "bench",
        "allreduce",
        "--sizes",
        "1KiB,4KiB",
        "--processes",
        "2",
    ]);
    command.args(["--rounds", "1000000", "--without-python"]);
    let mut run = Run::start(command, folder.path());
    run.wait_for_line("2 processes: ready");
    signal(run.pid(), "INT");
    let ended = run.wait();
    assert_eq!(ended.code, Some(130), "{}", ended.text);
}

#[test]
fn a_killed_benchmark_takes_its_members_along() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = convoy();
    command.args([
        "bench",
        "allreduce",
        "--sizes",
        "1KiB,4KiB",
        "--processes",
        "3",
    ]);
    command.args(["--rounds", "1000000", "--without-python"]);
    let mut run = Run::start(command, folder.path());
    run.wait_for_line("3 processes: ready");
    signal(run.pid(), "KILL");
    assert_eq!(run.wait().code, None);
}

#[test]
fn shards_that_workers_cannot_share_evenly_are_refused() {
    let output = convoy()
        .args([
            "bench",
            "train",
            "--workers",
            "3",
            "--shards",
            "3,4",
            "--batch",
            "24",
        ])
        .arg("--without-python")
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(
        words.contains("--shards 4: not a multiple of 3 workers"),
        "{words}"
    );
}

#[test]
fn a_python_that_is_none_is_told_before_anything_is_measured() {
    let output = convoy()
        .args(["bench", "allreduce", "--python", "/nowhere/python"])
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(
        words.contains("/nowhere/python is no Python with PyTorch 2.11.0"),
        "{words}"
    );
}
