//! What a summary says, from the last view of a job.

use std::os::fd::AsRawFd;

use super::*;
use crate::result_file;

fn job() -> JobId {
    JobId::try_from("fashion-1".to_owned()).unwrap()
}

fn worker(worker_id: u32) -> v1::WorkerView {
    v1::WorkerView {
        worker_id,
        log_path: format!("/logs/worker-{worker_id}.log"),
        ..Default::default()
    }
}

fn finished_view() -> v1::JobView {
    v1::JobView {
        workers: vec![worker(1), worker(0)],
        progress: Some(v1::Progress {
            position: Some(v1::Position {
                step: 938,
                ..Default::default()
            }),
            epochs: 2,
            steps: 938,
            images_per_second: 5120.5,
            skipped: 120,
            skipped_steps: vec![3, 4],
            coordinator_waits: 6,
            ..Default::default()
        }),
        evaluations: vec![v1::Evaluation {
            step: 938,
            samples: 10_000,
            correct: 9_134,
            loss: 0.25,
        }],
        checkpoints: vec![v1::Manifest {
            step: 938,
            folder: "/checkpoints/fashion-1/step-00000938".to_owned(),
            weights_sha256: vec![0xab; 32],
            ..Default::default()
        }],
        ..Default::default()
    }
}

#[test]
fn finished_run_is_summarised_from_its_last_view() {
    let summary = summarise(
        Some(job()),
        Outcome::Finished,
        "all done".to_owned(),
        &finished_view(),
        Duration::from_millis(90_500),
    );
    let expected = RunSummary {
        format: SUMMARY_FORMAT,
        job: Some(job()),
        outcome: Outcome::Finished,
        reason: "all done".to_owned(),
        epochs: 2,
        steps: 938,
        skipped_steps: SkippedSteps {
            count: 120,
            first: vec![3, 4],
        },
        coordinator_waits: 6,
        test_accuracy: Some(0.9134),
        test_loss: Some(0.25),
        wall_seconds: 90.5,
        images_per_second: Some(5120.5),
        workers: 2,
        weights_sha256: Some("ab".repeat(32)),
        checkpoint: Some(PathBuf::from(
            "/checkpoints/fashion-1/step-00000938/manifest.json",
        )),
        logs: vec![
            PathBuf::from("/logs/worker-0.log"),
            PathBuf::from("/logs/worker-1.log"),
        ],
    };
    assert_eq!(summary, expected);
}

#[test]
fn run_that_got_nowhere_has_no_figures() {
    let view = v1::JobView::default();
    let summary = summarise(
        Some(job()),
        Outcome::Failed,
        "no slots".to_owned(),
        &view,
        Duration::ZERO,
    );
    assert_eq!((summary.epochs, summary.steps, summary.workers), (0, 0, 0));
    assert_eq!(
        (summary.test_accuracy, summary.images_per_second),
        (None, None)
    );
    assert_eq!((summary.weights_sha256, summary.checkpoint), (None, None));
    assert!(summary.logs.is_empty());
}

#[test]
fn checkpoint_that_is_newer_than_the_progress_counts() {
    let view = v1::JobView {
        progress: Some(v1::Progress {
            position: Some(v1::Position {
                step: 460,
                ..Default::default()
            }),
            epochs: 2,
            steps: 938,
            ..Default::default()
        }),
        checkpoints: vec![v1::Manifest {
            step: 469,
            ..Default::default()
        }],
        ..Default::default()
    };
    let summary = summarise(
        Some(job()),
        Outcome::Cancelled,
        String::new(),
        &view,
        Duration::ZERO,
    );
    assert_eq!((summary.epochs, summary.steps), (1, 469));
}

#[test]
fn epochs_of_a_checkpoint_count_without_any_progress() {
    let view = v1::JobView {
        checkpoints: vec![v1::Manifest {
            step: 20,
            epoch: 2,
            ..Default::default()
        }],
        ..Default::default()
    };
    let summary = summarise(
        Some(job()),
        Outcome::Finished,
        String::new(),
        &view,
        Duration::ZERO,
    );
    assert_eq!((summary.epochs, summary.steps), (2, 20));
}

fn failed() -> RunSummary {
    summarise(
        None,
        Outcome::Failed,
        "no slots".to_owned(),
        &v1::JobView::default(),
        Duration::ZERO,
    )
}

#[test]
fn file_of_a_summary_can_be_read_back_and_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("summary.json");
    forget(&file).unwrap();
    result_file::write(&file, &failed()).unwrap();
    let read: RunSummary = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(read, failed());
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    forget(&link).unwrap();
    assert!(!file.exists());
    assert!(link.is_symlink());
}

#[test]
fn summary_that_is_named_by_an_open_descriptor_stays() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.txt");
    result_file::write(&file, &failed()).unwrap();
    let open = std::fs::File::open(&file).unwrap();
    forget(&PathBuf::from(format!("/dev/fd/{}", open.as_raw_fd()))).unwrap();
    assert!(file.exists());
}

#[test]
fn file_that_is_no_summary_is_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.json");
    for text in ["{}", "", "name = \"job\""] {
        std::fs::write(&file, text).unwrap();
        forget(&file).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    }
}
