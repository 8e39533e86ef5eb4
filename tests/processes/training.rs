//! Whole runs, and every process of one killed once.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use harness::{Bench, Ended, Run, binary, convoy, signal};

use super::{ENDLESS, unchanged};

#[test]
fn two_workers_train_and_leave_a_checkpoint_and_nothing_else() {
    let bench = Bench::new();
    let ended = bench.run(&bench.spec(2, unchanged), 2, &[]).wait();
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    let summary = bench.summary();
    assert_eq!(summary["outcome"], "finished");
    assert_eq!(
        (&summary["epochs"], &summary["steps"]),
        (&2.into(), &20.into())
    );
    assert!(summary["images_per_second"].as_f64().unwrap() > 0.0);
    assert_eq!(summary["skipped_steps"]["count"], 0);
    assert_eq!(summary["workers"], 2);
    assert_eq!(summary["coordinator_waits"], 0);
    let checkpoint = summary["checkpoint"].as_str().unwrap().to_owned();
    let out = bench.folder.path().join("model.safetensors");
    let export = convoy()
        .args(["checkpoint", "export", &checkpoint, "--out"])
        .arg(&out)
        .output()
        .unwrap();
    assert!(
        export.status.success(),
        "{}",
        String::from_utf8_lossy(&export.stderr)
    );
    assert!(fs::metadata(out).unwrap().len() > 10_000);
}

#[test]
fn one_worker_runs_all_shards_of_the_same_job() {
    let bench = Bench::new();
    let ended = bench.run(&bench.spec(1, unchanged), 1, &[]).wait();
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    assert_eq!(bench.summary()["workers"], 1);
}

#[test]
fn any_number_of_workers_leaves_the_same_weights_and_evaluates_them_alike() {
    let ends = [1, 2, 3].map(|workers| {
        let bench = Bench::new();
        // Shards that neither two nor three workers have equally many of, and random draws in data and network.
        let spec = bench.spec(2, |spec| {
            spec.replace("data_shards = 2", "data_shards = 5")
                .replace("max_workers = 2", "max_workers = 3")
                .replace("classes = 4", "classes = 4\ndropout = 0.2")
                + "[data.augment]\ncrop_padding = 2\nflip = true\n"
        });
        let ended = bench.run(&spec, workers, &[]).wait();
        assert_eq!(ended.code, Some(0), "{}", ended.text);
        let summary = bench.summary();
        assert_eq!(summary["workers"], workers);
        assert!(summary["weights_sha256"].is_string());
        ["weights_sha256", "test_accuracy", "test_loss"].map(|key| summary[key].to_string())
    });
    assert!(ends.iter().all(|other| *other == ends[0]), "{ends:?}");
}

#[test]
fn a_killed_worker_fails_the_job_with_its_signal() {
    let bench = Bench::new();
    let address = free_address();
    let run = endless(&bench, &address);
    signal(run.processes("convoy-worker")[0], "KILL");
    let ended = run.wait();
    assert_eq!(ended.code, Some(1), "{}", ended.text);
    nothing_is_left(&ended, &address);
    assert!(
        ended.text.contains("killed by signal 9 (SIGKILL)"),
        "{}",
        ended.text
    );
    assert_eq!(bench.summary()["outcome"], "failed");
}

#[test]
fn a_killed_agent_fails_the_job_and_takes_its_workers_along() {
    let bench = Bench::new();
    let address = free_address();
    let run = endless(&bench, &address);
    signal(run.processes("convoy-agent")[0], "KILL");
    let ended = run.wait();
    assert_eq!(ended.code, Some(1), "{}", ended.text);
    nothing_is_left(&ended, &address);
    assert!(ended.text.contains("agent"), "{}", ended.text);
}

#[test]
fn a_killed_convoy_leaves_no_process_behind() {
    let bench = Bench::new();
    let address = free_address();
    let run = endless(&bench, &address);
    signal(run.pid(), "KILL");
    let ended = run.wait();
    assert_eq!(ended.code, None);
    nothing_is_left(&ended, &address);
}

#[test]
fn an_interrupt_cancels_the_job_in_order() {
    let bench = Bench::new();
    let address = free_address();
    let run = endless(&bench, &address);
    signal(run.pid(), "INT");
    let ended = run.wait();
    assert_eq!(ended.code, Some(130), "{}", ended.text);
    assert_eq!(bench.summary()["outcome"], "cancelled");
    nothing_is_left(&ended, &address);
}

#[test]
fn a_run_under_nohup_survives_the_end_of_its_terminal() {
    let bench = Bench::new();
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"trap '' HUP; exec "$0" "$@""#])
        .arg(binary("convoy"));
    let mut run = bench.run_by(command, &bench.spec(ENDLESS, unchanged), 2, &[]);
    run.wait_for_line("training");
    signal(run.pid(), "HUP");
    signal(run.pid(), "INT");
    let ended = run.wait();
    assert_eq!(
        ended.code,
        Some(130),
        "the first would be 129:\n{}",
        ended.text
    );
}

#[test]
fn a_job_that_diverges_says_which_steps_changed_nothing() {
    let bench = Bench::new();
    let spec = bench.spec(12, |text| {
        // Each step makes every weight 999 times as large.
        text.replace(
            "learning_rate = 0.05",
            "learning_rate = 1000.0\nweight_decay = 1.0",
        )
    });
    let ended = bench.run(&spec, 2, &[]).wait();
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    let summary = bench.summary();
    let skipped = summary["skipped_steps"]["count"].as_u64().unwrap();
    let first = summary["skipped_steps"]["first"].as_array().unwrap();
    assert!(skipped > 0 && skipped <= 120, "{summary:#}");
    assert_eq!(first.len() as u64, skipped.min(100));
    assert!(ended.text.contains("skipped steps"), "{}", ended.text);
    assert!(
        ended.text.contains("of 120 steps changed no weights"),
        "{}",
        ended.text
    );
}

/// A run that has begun to train and would train for hours, its coordinator at `address`.
fn endless(bench: &Bench, address: &str) -> Run {
    let spec = bench.spec(ENDLESS, unchanged);
    let mut run = bench.run(&spec, 2, &["--listen", address]);
    run.wait_for_line("training");
    run
}

/// An address that nobody listens at.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Neither the port nor a file on its way to its name; that no process is left is part of every wait.
fn nothing_is_left(ended: &Ended, address: &str) {
    TcpListener::bind(address).expect("the port is free again");
    let hidden = |file: &&PathBuf| {
        let name = file.file_name().unwrap_or_default();
        // The coordinator's log stays where its process was killed, and with it the file that was locked.
        name.as_encoded_bytes().starts_with(b".") && name != ".lock"
    };
    let temporary: Vec<_> = ended.new_files.iter().filter(hidden).collect();
    assert!(temporary.is_empty(), "{temporary:?} are left");
}
