//! What `convoy run --summary FILE` writes at the end: one JSON object, for scripts and benchmarks.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::ids::JobId;

/// Version of the format: raised when a field changes its meaning or goes, not when one is added.
pub const SUMMARY_FORMAT: u32 = 1;

/// One finished run. What a run did not get to is `null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// [`SUMMARY_FORMAT`] of who wrote it.
    pub format: u32,
    /// The job.
    pub job: Option<JobId>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it ended so, one sentence.
    pub reason: String,
    /// Completed epochs.
    pub epochs: u32,
    /// Completed steps; those that were skipped updated nothing.
    pub steps: u64,
    /// Steps whose gradients were not finite.
    #[serde(default)]
    pub skipped_steps: SkippedSteps,
    /// How often workers that trained had to wait for the coordinators; 0 unless these stopped taking reports for long.
    #[serde(default)]
    pub coordinator_waits: u64,
    /// Share of the test split that the final weights classify correctly, 0 to 1.
    pub test_accuracy: Option<f64>,
    /// Mean loss over the test split with the final weights.
    pub test_loss: Option<f64>,
    /// Seconds from the start of the command to the end of the job.
    pub wall_seconds: f64,
    /// Training images per second over all workers, without evaluation and checkpoints.
    pub images_per_second: Option<f64>,
    /// Workers of the last generation.
    pub workers: u32,
    /// SHA-256 of the final weights in lower-case hexadecimal, as the checkpoint's manifest says it.
    pub weights_sha256: Option<String>,
    /// Manifest of the last checkpoint.
    pub checkpoint: Option<PathBuf>,
    /// Logs of the workers, ordered by worker id.
    pub logs: Vec<PathBuf>,
}

/// Steps whose gradients were not finite: their samples count as consumed, the weights stayed as they were.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedSteps {
    /// How many.
    pub count: u64,
    /// The first of them, counted from 0: at most [`MAX_LISTED_SKIPPED_STEPS`](crate::limits::MAX_LISTED_SKIPPED_STEPS).
    pub first: Vec<u64>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All epochs are trained, the last checkpoint is written.
    Finished,
    /// It can't go on.
    Failed,
    /// Someone ended it.
    Cancelled,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cancelled() -> RunSummary {
        RunSummary {
            format: SUMMARY_FORMAT,
            job: Some(JobId::try_from("fashion-1".to_owned()).unwrap()),
            outcome: Outcome::Cancelled,
            reason: "interrupted from the keyboard".to_owned(),
            epochs: 3,
            steps: 1404,
            skipped_steps: SkippedSteps {
                count: 2,
                first: vec![7, 9],
            },
            coordinator_waits: 4,
            test_accuracy: Some(0.875),
            test_loss: None,
            wall_seconds: 12.5,
            images_per_second: None,
            workers: 2,
            weights_sha256: None,
            checkpoint: Some(PathBuf::from("/runs/fashion-1/step-00001404/manifest.json")),
            logs: vec![PathBuf::from("/runs/fashion-1/logs/worker-0.log")],
        }
    }

    #[test]
    fn keys_and_outcomes_stay_as_scripts_read_them() {
        let expected = serde_json::json!({
            "format": 1,
            "job": "fashion-1",
            "outcome": "cancelled",
            "reason": "interrupted from the keyboard",
            "epochs": 3,
            "steps": 1404,
            "skipped_steps": { "count": 2, "first": [7, 9] },
            "coordinator_waits": 4,
            "test_accuracy": 0.875,
            "test_loss": null,
            "wall_seconds": 12.5,
            "images_per_second": null,
            "workers": 2,
            "weights_sha256": null,
            "checkpoint": "/runs/fashion-1/step-00001404/manifest.json",
            "logs": ["/runs/fashion-1/logs/worker-0.log"],
        });
        assert_eq!(serde_json::to_value(cancelled()).unwrap(), expected);
    }

    #[test]
    fn a_summary_of_a_later_version_with_more_keys_can_be_read() {
        let mut json = serde_json::to_value(cancelled()).unwrap();
        json["goodput"] = 0.99.into();
        assert_eq!(
            serde_json::from_value::<RunSummary>(json).unwrap(),
            cancelled()
        );
    }

    #[test]
    fn a_summary_of_an_earlier_version_can_be_read() {
        let mut json = serde_json::to_value(cancelled()).unwrap();
        for key in ["skipped_steps", "coordinator_waits"] {
            json.as_object_mut().unwrap().remove(key);
        }
        let read: RunSummary = serde_json::from_value(json).unwrap();
        assert_eq!(read.skipped_steps, SkippedSteps::default());
        assert_eq!(read.coordinator_waits, 0);
    }
}
