//! How far the job is, as this member knows it from reduced numbers. Pure.

use std::time::Duration;

use convoy_common::ids::{EpochIndex, Generation, Phase, Position, StepIndex};
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
    pub(crate) skipped: Vec<u64>,
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
            self.skipped.push(step.0);
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
        assert_eq!(progress.skipped, [1]);
        assert_eq!(
            progress.position,
            Position {
                generation: Generation(1),
                step: StepIndex(2),
                phase: Phase::Train
            }
        );
    }
}
