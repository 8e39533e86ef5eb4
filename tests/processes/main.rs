//! Tests on real processes: `convoy run` with its agent and its workers.

mod benchmarks;

use std::fs;
use std::net::TcpListener;

use harness::{Bench, Ended, convoy, signal};

/// Far more than any test lets pass before it ends the run.
const ENDLESS: u32 = 100_000;

fn unchanged(spec: String) -> String {
    spec
}

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
fn a_resnet_starts_from_the_weights_of_another_run() {
    let bench = Bench::new();
    let resnet = |text: String| text.replace("\"small_cnn\"", "\"resnet18\"\nstem = \"cifar\"");
    let ended = bench.run(&bench.spec(1, resnet), 2, &[]).wait();
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    let checkpoint = bench.summary()["checkpoint"].as_str().unwrap().to_owned();
    let export = convoy()
        .args(["checkpoint", "export", &checkpoint, "--out"])
        .arg(bench.folder.path().join("model.safetensors"))
        .output()
        .unwrap();
    assert!(
        export.status.success(),
        "{}",
        String::from_utf8_lossy(&export.stderr)
    );
    let onward =
        |text: String| resnet(text).replace("[data]", "init = \"model.safetensors\"\n[data]");
    let ended = bench.run(&bench.spec(1, onward), 2, &[]).wait();
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    assert!(ended.text.contains("weights: start from"), "{}", ended.text);

    let other = |text: String| onward(text).replace("resnet18", "resnet34");
    let ended = bench.run(&bench.spec(1, other), 2, &[]).wait();
    assert_eq!(ended.code, Some(1), "{}", ended.text);
    assert!(
        ended
            .text
            .contains("does not fit model.name resnet34 with 4 classes"),
        "{}",
        ended.text
    );
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

/// A run that must be refused with these words.
fn refused(ended: &Ended, words: &[&str]) {
    assert!(!matches!(ended.code, Some(0) | None), "{}", ended.text);
    assert!(!ended.text.contains("panicked"), "{}", ended.text);
    for word in words {
        assert!(
            ended.text.contains(word),
            "{word:?} is not in:\n{}",
            ended.text
        );
    }
}

#[test]
fn a_missing_data_file_is_named() {
    let bench = Bench::new();
    fs::remove_file(bench.folder.path().join("data/train-images-idx3-ubyte")).unwrap();
    refused(
        &bench.run(&bench.spec(1, unchanged), 2, &[]).wait(),
        &["train-images-idx3-ubyte"],
    );
}

#[test]
fn a_truncated_data_file_is_named_with_both_lengths() {
    let bench = Bench::new();
    let path = bench.folder.path().join("data/train-images-idx3-ubyte");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
    let (expected, found) = (bytes.len().to_string(), (bytes.len() - 5).to_string());
    refused(
        &bench.run(&bench.spec(1, unchanged), 2, &[]).wait(),
        &["train-images-idx3-ubyte", &expected, &found],
    );
}

#[test]
fn labels_beyond_the_classes_are_told() {
    let bench = Bench::new();
    let spec = bench.spec(1, |text| text.replace("classes = 4", "classes = 3"));
    refused(
        &bench.run(&spec, 2, &[]).wait(),
        &["labels-idx1-ubyte", "3"],
    );
}

#[test]
fn a_batch_too_small_for_the_shards_is_refused() {
    let bench = Bench::new();
    let spec = bench.spec(1, |text| {
        text.replace("global_batch = 24", "global_batch = 3")
    });
    refused(
        &bench.run(&spec, 2, &[]).wait(),
        &["global_batch", "data_shards"],
    );
}

#[test]
fn more_workers_than_shards_are_refused() {
    let bench = Bench::new();
    refused(
        &bench.run(&bench.spec(1, unchanged), 3, &[]).wait(),
        &["3", "2"],
    );
}

#[test]
fn an_unknown_model_is_refused_with_place_and_nearest_name() {
    let bench = Bench::new();
    let spec = bench.spec(1, |text| text.replace("small_cnn", "small_cn"));
    refused(
        &bench.run(&spec, 2, &[]).wait(),
        &["tiny.toml:3:8", "small_cnn"],
    );
}

#[test]
fn a_port_in_use_is_refused_with_what_to_do() {
    let bench = Bench::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refused(
        &bench
            .run(&bench.spec(1, unchanged), 2, &["--listen", &address])
            .wait(),
        &[&address, "in use", "--listen"],
    );
}

#[test]
fn a_folder_that_takes_no_files_is_refused_before_anything_starts() {
    let bench = Bench::new();
    let spec = bench.spec(1, |text| {
        text.replace("folder = \"checkpoints\"", "folder = \"/proc/checkpoints\"")
    });
    refused(&bench.run(&spec, 2, &[]).wait(), &["/proc/checkpoints"]);
}
