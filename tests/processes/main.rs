//! Tests on real processes: `convoy run` with its agent and its workers, and clusters of coordinators and agents.
#![expect(clippy::unwrap_used, reason = "a test that can't go on should panic")]

mod bad_input;
mod benchmarks;
mod chaos;
mod cluster;
mod disks;
mod examples;
mod hosts;
mod leaders;
mod linearizability;
mod machine;
mod secrets;
mod several_hosts;
mod strangers;
mod training;
mod weights;

use std::path::Path;

use harness::{Bench, Ended};

/// Far more than any test lets pass before it ends the run.
const ENDLESS: u32 = 100_000;

fn unchanged(spec: String) -> String {
    spec
}

/// A run that must fail with these words, say so in its summary, and leave nothing but that and logs.
fn refused(bench: &Bench, ended: &Ended, words: &[&str]) {
    assert!(!matches!(ended.code, Some(0) | None), "{}", ended.text);
    assert!(!ended.text.contains("panicked"), "{}", ended.text);
    for word in words {
        assert!(
            ended.text.contains(word),
            "{word:?} is not in:\n{}",
            ended.text
        );
    }
    let summary = bench.summary();
    assert_eq!(summary["outcome"], "failed");
    assert_ne!(summary["reason"], "");
    let left: Vec<_> = ended
        .new_files
        .iter()
        .filter(|file| !may_be_left(file))
        .collect();
    assert!(left.is_empty(), "{left:?} are left:\n{}", ended.text);
}

/// The summary, and below `--work-dir` logs and the spec that workers read.
fn may_be_left(file: &Path) -> bool {
    let is_log = || file.extension().is_some_and(|extension| extension == "log");
    file == Path::new("summary.json")
        || (file.starts_with("work") && (is_log() || file.ends_with("spec.json")))
}
