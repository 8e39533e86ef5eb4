//! Whole runs, and every process of one killed once.

use std::fs;

use harness::{Bench, convoy, signal};

use super::{ENDLESS, unchanged};

#[test]
fn two_workers_train_and_leave_a_checkpoint_and_nothing_else() {
    let bench = Bench::new();
    let ended = bench.run(&bench.spec(2, unchanged), 2, &[]).wait();
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    let summary = bench.summary();
    assert_eq!(summary["outcome"], "finished");
    assert_eq!(summary["steps"], 20);
    assert_eq!(summary["workers"], 2);
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
fn a_killed_worker_fails_the_job_with_its_signal() {
    let bench = Bench::new();
    let mut run = bench.run(&bench.spec(ENDLESS, unchanged), 2, &[]);
    run.wait_for_line("training");
    signal(run.processes("convoy-worker")[0], "KILL");
    let ended = run.wait();
    assert_eq!(ended.code, Some(1), "{}", ended.text);
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
    let mut run = bench.run(&bench.spec(ENDLESS, unchanged), 2, &[]);
    run.wait_for_line("training");
    signal(run.processes("convoy-agent")[0], "KILL");
    let ended = run.wait();
    assert_eq!(ended.code, Some(1), "{}", ended.text);
    assert!(ended.text.contains("agent"), "{}", ended.text);
}

#[test]
fn a_killed_convoy_leaves_no_process_behind() {
    let bench = Bench::new();
    let mut run = bench.run(&bench.spec(ENDLESS, unchanged), 2, &[]);
    run.wait_for_line("training");
    signal(run.pid(), "KILL");
    assert_eq!(run.wait().code, None);
}

#[test]
fn an_interrupt_cancels_the_job_in_order() {
    let bench = Bench::new();
    let mut run = bench.run(&bench.spec(ENDLESS, unchanged), 2, &[]);
    run.wait_for_line("training");
    signal(run.pid(), "INT");
    let ended = run.wait();
    assert_eq!(ended.code, Some(130), "{}", ended.text);
    assert_eq!(bench.summary()["outcome"], "cancelled");
}
