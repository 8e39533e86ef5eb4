//! The outcome of a run, for scripts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use convoy_checkpoint::{Digest, MANIFEST_FILE};
use convoy_common::ids::JobId;
use convoy_common::summary::{Outcome, RunSummary, SUMMARY_FORMAT, SkippedSteps};
use convoy_files::FileError;
use convoy_proto::v1;

/// The logs of as many workers as there may be, with the longest paths, are shorter.
const MAX_SUMMARY_BYTES: u64 = 4 << 20;

/// What the view of a job that has ended, or was given up, amounts to.
pub(crate) fn summarise(
    job: Option<JobId>,
    outcome: Outcome,
    reason: String,
    view: &v1::JobView,
    wall: Duration,
) -> RunSummary {
    let progress = view.progress.clone().unwrap_or_default();
    let checkpoint = view.checkpoints.last();
    let evaluation = view.evaluations.last();
    // A checkpoint can be newer than the progress, which is reported now and then.
    let (reached, epochs) =
        checkpoint.map_or((0, 0), |checkpoint| (checkpoint.step, checkpoint.epoch));
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
        epochs: completed_epochs(steps, &progress).max(epochs),
        steps,
        skipped_steps: SkippedSteps {
            count: progress.skipped,
            first: progress.skipped_steps,
        },
        coordinator_waits: progress.coordinator_waits,
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

/// Removes the summary of an earlier run: what is there after this one, however it ends, is its own. A file that is
/// something else stays until there is something to put in its place.
pub(crate) fn forget(file: &Path) -> Result<(), FileError> {
    // Where a link leads to; the link stays. What is only written to (`>> all.txt`, named /dev/stdout) is nobody's to remove.
    let Some(file) = convoy_files::replaced_file(file)? else {
        return Ok(());
    };
    if !is_summary(&file) {
        return Ok(());
    }
    std::fs::remove_file(&file).map_err(|source| FileError::new("remove", &file, source))
}

fn is_summary(file: &Path) -> bool {
    let small = std::fs::metadata(file)
        .is_ok_and(|found| found.is_file() && found.len() <= MAX_SUMMARY_BYTES);
    let read = || serde_json::from_slice::<RunSummary>(&std::fs::read(file).ok()?).ok();
    small && read().is_some()
}

#[cfg(test)]
mod tests;
