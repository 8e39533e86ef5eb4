//! How far the job is, as this member knows it from reduced numbers. Pure.

use std::sync::Arc;
use std::time::Duration;

use convoy_common::ids::{EpochIndex, Generation, Phase, Position, StepIndex};
use convoy_common::limits::MAX_LISTED_SKIPPED_STEPS;
use convoy_training::StepReport;

/// The newest state of a generation's training.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Progress {
    pub(crate) position: Position,
    pub(crate) epoch: EpochIndex,
    pub(crate) epochs: u32,
    pub(crate) total_steps: u64,
    /// Mean loss and share of right answers of the newest step.
    pub(crate) loss: f64,
    pub(crate) accuracy: f64,
    /// Consumed since the generation began.
    pub(crate) samples: u64,
    /// Spent in steps since the generation began.
    pub(crate) in_steps: Duration,
    /// Spent in evaluation and between epochs.
    pub(crate) elsewhere: Duration,
    /// Steps whose gradients were not finite.
    pub(crate) skipped: u64,
    /// The first of them. Shared, as the progress is copied at every step and they change at few.
    pub(crate) first_skipped: Arc<Vec<u64>>,
    /// How often this worker waited for the coordinators since it started.
    pub(crate) coordinator_waits: u64,
}

impl Progress {
    pub(crate) fn new(
        generation: Generation,
        start: StepIndex,
        epochs: u32,
        total_steps: u64,
    ) -> Self {
        let position = Position {
            generation,
            step: start,
            phase: Phase::Train,
        };
        Self {
            position,
            epochs,
            total_steps,
            ..Self::default()
        }
    }

    /// A step is complete.
    pub(crate) fn step(
        &mut self,
        step: StepIndex,
        epoch: EpochIndex,
        report: &StepReport,
        took: Duration,
    ) {
        self.position = Position {
            step: step.next(),
            phase: Phase::Train,
            ..self.position
        };
        self.epoch = epoch;
        self.loss = report.loss;
        self.accuracy = report.correct as f64 / report.samples.max(1) as f64;
        self.samples += report.samples;
        self.in_steps += took;
        if report.skipped {
            self.skipped += 1;
            if self.first_skipped.len() < MAX_LISTED_SKIPPED_STEPS {
                Arc::make_mut(&mut self.first_skipped).push(step.0);
            }
        }
    }

    /// Over all members, in steps alone; 0 before the first.
    pub(crate) fn images_per_second(&self) -> f64 {
        let seconds = self.in_steps.as_secs_f64();
        if seconds > 0.0 {
            self.samples as f64 / seconds
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_counts_time_in_steps_only_and_skipped_steps_are_listed() {
        let mut progress = Progress::new(Generation(1), StepIndex(0), 2, 20);
        assert!(
            progress.images_per_second().abs() < f64::EPSILON,
            "no step, no rate"
        );
        let report = StepReport {
            samples: 100,
            correct: 40,
            loss: 1.5,
            skipped: false,
            runs: 1,
        };
        progress.step(
            StepIndex(0),
            EpochIndex(0),
            &report,
            Duration::from_millis(500),
        );
        progress.elsewhere += Duration::from_secs(100);
        progress.step(
            StepIndex(1),
            EpochIndex(0),
            &StepReport {
                skipped: true,
                ..report
            },
            Duration::from_millis(500),
        );
        assert!((progress.images_per_second() - 200.0).abs() < 1e-9);
        assert!((progress.accuracy - 0.4).abs() < 1e-9);
        assert_eq!(
            (progress.skipped, progress.first_skipped.as_slice()),
            (1, [1].as_slice())
        );
        assert_eq!(
            progress.position,
            Position {
                generation: Generation(1),
                step: StepIndex(2),
                phase: Phase::Train
            }
        );
    }

    #[test]
    fn job_that_diverged_counts_every_skipped_step_and_lists_the_first() {
        let mut progress = Progress::new(Generation(1), StepIndex(0), 1, 1_000);
        let report = StepReport {
            samples: 100,
            correct: 0,
            loss: f64::NAN,
            skipped: true,
            runs: 1,
        };
        for step in 0..1_000 {
            progress.step(StepIndex(step), EpochIndex(0), &report, Duration::ZERO);
        }
        assert_eq!(progress.skipped, 1_000);
        let first: Vec<u64> = (0..100).collect();
        assert_eq!(*progress.first_skipped, first);
    }
}
