//! The outcome of a run, for scripts.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use convoy_checkpoint::{Digest, MANIFEST_FILE};
use convoy_common::ids::JobId;
use convoy_common::summary::{Outcome, RunSummary, SUMMARY_FORMAT};
use convoy_proto::v1;

/// What the view of a job that has ended, or was given up, amounts to.
pub(crate) fn summarise(
    job: JobId,
    outcome: Outcome,
    reason: String,
    view: &v1::JobView,
    wall: Duration,
) -> RunSummary {
    let progress = view.progress.clone().unwrap_or_default();
    let checkpoint = view.checkpoints.last();
    let evaluation = view.evaluations.last();
    // A checkpoint can be newer than the progress, which is reported every few seconds.
    let reached = checkpoint.map_or(0, |checkpoint| checkpoint.step);
    let steps = progress
        .position
        .map_or(0, |position| position.step)
        .max(reached);
    let mut workers: Vec<_> = view.workers.iter().collect();
    workers.sort_by_key(|worker| worker.worker_id);
    RunSummary {
        format: SUMMARY_FORMAT,
        job,
        outcome,
        reason,
        epochs: completed_epochs(steps, &progress),
        steps,
        test_accuracy: evaluation
            .filter(|e| e.samples > 0)
            .map(|e| e.correct as f64 / e.samples as f64),
        test_loss: evaluation.map(|evaluation| evaluation.loss),
        wall_seconds: wall.as_secs_f64(),
        images_per_second: Some(progress.images_per_second).filter(|rate| *rate > 0.0),
        workers: u32::try_from(workers.len()).unwrap_or(u32::MAX),
        weights_sha256: checkpoint
            .and_then(|c| Digest::try_from(c.weights_sha256.as_slice()).ok())
            .map(|d| d.to_string()),
        checkpoint: checkpoint.map(|checkpoint| Path::new(&checkpoint.folder).join(MANIFEST_FILE)),
        logs: workers
            .iter()
            .filter(|w| !w.log_path.is_empty())
            .map(|w| PathBuf::from(&w.log_path))
            .collect(),
    }
}

/// All epochs of a job have the same number of steps.
pub(crate) fn completed_epochs(steps: u64, progress: &v1::Progress) -> u32 {
    if progress.steps == 0 {
        return 0;
    }
    let epochs = u128::from(steps) * u128::from(progress.epochs) / u128::from(progress.steps);
    u32::try_from(epochs)
        .unwrap_or(u32::MAX)
        .min(progress.epochs)
}

/// Puts the summary in the place of `file`.
pub(crate) fn write(file: &Path, summary: &RunSummary) -> anyhow::Result<()> {
    let mut json = serde_json::to_vec_pretty(summary)?;
    json.push(b'\n');
    convoy_files::replace(file, |writer| writer.write_all(&json))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn finished_run_is_summarised_from_its_last_view() {
        let view = v1::JobView {
            workers: vec![worker(1), worker(0)],
            progress: Some(v1::Progress {
                position: Some(v1::Position {
                    step: 938,
                    ..Default::default()
                }),
                epochs: 2,
                steps: 938,
                images_per_second: 5120.5,
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
        };
        let summary = summarise(
            job(),
            Outcome::Finished,
            "all done".to_owned(),
            &view,
            Duration::from_millis(90_500),
        );
        let expected = RunSummary {
            format: SUMMARY_FORMAT,
            job: job(),
            outcome: Outcome::Finished,
            reason: "all done".to_owned(),
            epochs: 2,
            steps: 938,
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
            job(),
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
            job(),
            Outcome::Cancelled,
            String::new(),
            &view,
            Duration::ZERO,
        );
        assert_eq!((summary.epochs, summary.steps), (1, 469));
    }

    #[test]
    fn file_of_a_summary_can_be_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("summary.json");
        let summary = summarise(
            job(),
            Outcome::Failed,
            "no slots".to_owned(),
            &v1::JobView::default(),
            Duration::ZERO,
        );
        write(&file, &summary).unwrap();
        let read: RunSummary = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        assert_eq!(read, summary);
    }
}
