//! `convoy run` where it can't even start: it says why, and leaves nothing behind.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value;

use crate::fixture::Place;

const UNTOUCHED: [&str; 2] = ["data", "job.toml"];

#[test]
fn more_workers_than_shards_start_nothing() {
    let place = Place::new();
    let ran = place.convoy(&["run", "job.toml", "--workers", "3"]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.err
            .starts_with("error: more workers than data shards: 3 workers"),
        "{}",
        ran.err
    );
    assert_eq!(place.names(), UNTOUCHED);
}

#[test]
fn missing_data_starts_nothing() {
    let place = Place::new();
    fs::remove_file(place.path().join("data/t10k-labels-idx1-ubyte")).unwrap();
    let ran = place.convoy(&["run", "job.toml", "--workers", "2"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err.starts_with("error: data.test_labels = "),
        "{}",
        ran.err
    );
    assert_eq!(place.names(), UNTOUCHED);
}

#[test]
fn checkpoint_folder_that_cannot_be_made_starts_nothing() {
    let place = Place::new().with(
        "folder = \"checkpoints\"",
        "folder = \"job.toml/checkpoints\"",
    );
    let stands_in_the_way = place.path().join("job.toml");
    place.refuses(
        &["run", "job.toml", "--workers", "2"],
        1,
        &format!(
            "error: checkpoints.folder can't be written to\n  because: cannot create folder {}: File exists (os error 17)",
            stands_in_the_way.display()
        ),
    );
    assert_eq!(place.names(), UNTOUCHED);
}

#[test]
fn work_dir_that_cannot_be_made_starts_nothing() {
    let place = Place::new();
    let ran = place.convoy(&[
        "run",
        "job.toml",
        "--workers",
        "2",
        "--work-dir",
        "job.toml/logs",
    ]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err
            .starts_with("error: --work-dir can't be written to\n  because: cannot create folder"),
        "{}",
        ran.err
    );
}

#[test]
fn summary_that_could_not_be_written_is_told_before_training() {
    let place = Place::new();
    let ran = place.convoy(&["run", "job.toml", "--workers", "2", "--summary", "data"]);
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (Some(1), "error: --summary data is a folder: name a file\n")
    );
}

#[test]
fn no_workers_are_a_usage_error() {
    let ran = Place::new().convoy(&["run", "job.toml", "--workers", "0"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("0 is not in 1..=256"), "{}", ran.err);
}

#[test]
fn a_refused_run_says_so_in_its_summary_in_the_place_of_an_older_one() {
    let place = Place::new();
    let arguments = ["run", "job.toml", "--workers", "3", "--summary", "s.json"];
    assert_eq!(place.convoy(&arguments).code, Some(2));
    let mut older = place.json("s.json");
    assert_eq!(older["outcome"], "failed");
    assert_eq!(older["job"], Value::Null, "it came to no job");
    let reason = older["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("more workers than data shards"),
        "{reason}"
    );

    older["outcome"] = "finished".into();
    fs::write(place.path().join("s.json"), older.to_string()).unwrap();
    symlink("s.json", place.path().join("link.json")).unwrap();
    let arguments = [
        "run",
        "other.toml",
        "--workers",
        "2",
        "--summary",
        "link.json",
    ];
    assert_eq!(place.convoy(&arguments).code, Some(1));
    let newer = place.json("s.json");
    assert_eq!(newer["outcome"], "failed");
    assert_eq!(
        newer["reason"],
        "cannot read the job spec other.toml: No such file or directory (os error 2)"
    );
    assert_eq!(
        fs::read_link(place.path().join("link.json")).unwrap(),
        Path::new("s.json")
    );
}

#[test]
fn spec_that_is_too_long_for_its_workers_starts_nothing() {
    let variables: String = (0..6)
        .map(|index| format!("V{index} = \"{}\"\n", "x".repeat(100_000)))
        .collect();
    let place = Place::new()
        .with("max_workers = 2", "max_workers = 8")
        .with("data_shards = 2", "data_shards = 8")
        .with("[checkpoints]", &format!("[env]\n{variables}[checkpoints]"));
    let expected = "error: the job spec is too long for 8 workers: it has ";
    for arguments in [
        ["run", "job.toml", "--workers", "8"],
        ["validate", "job.toml", "--workers", "8"],
    ] {
        let ran = place.convoy(&arguments);
        assert_eq!(ran.code, Some(2));
        assert!(ran.err.starts_with(expected), "{}", ran.err);
        assert!(
            ran.err.contains("start at most 6 workers, or shorten it"),
            "{}",
            ran.err
        );
    }
    assert_eq!(place.names(), UNTOUCHED);
}
