//! `convoy run` where it can't even start: it says why, and leaves nothing behind.

use std::fs;

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
