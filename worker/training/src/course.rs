//! The course of a job: which step, evaluation and checkpoint follows which. Pure.

use std::ops::Range;

use convoy_common::ids::{EpochIndex, StepIndex};

/// The whole plan of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Course {
    /// Steps of one epoch.
    pub steps_per_epoch: u64,
    /// Epochs of the job.
    pub epochs: u32,
    /// Epochs between two checkpoints.
    pub checkpoint_every_epochs: u32,
}

/// What follows a completed epoch, or the next steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leg {
    /// Train these steps, counted from the job's start.
    Train {
        /// The epoch they belong to.
        epoch: EpochIndex,
        /// The steps.
        steps: Range<u64>,
    },
    /// The epoch is complete: check its accounting, save if due, then evaluate.
    EpochEnd {
        /// The epoch that is complete.
        epoch: EpochIndex,
        /// Completed steps.
        step: StepIndex,
        /// Whether a checkpoint is due.
        checkpoint: bool,
        /// Whether the job ends here.
        last: bool,
    },
}

impl Course {
    /// Steps of the whole job.
    #[must_use]
    pub fn total_steps(&self) -> u64 {
        self.steps_per_epoch * u64::from(self.epochs)
    }

    /// Everything that is left to do after `start` completed steps, in order.
    pub fn legs_from(self, start: StepIndex) -> impl Iterator<Item = Leg> {
        let first = start.0 / self.steps_per_epoch;
        (first..u64::from(self.epochs)).flat_map(move |epoch| {
            let index = u32::try_from(epoch).unwrap_or(u32::MAX);
            let end = (epoch + 1) * self.steps_per_epoch;
            let last = index + 1 == self.epochs;
            let checkpoint = last || (index + 1).is_multiple_of(self.checkpoint_every_epochs);
            let train = Leg::Train {
                epoch: EpochIndex(index),
                steps: start.0.max(epoch * self.steps_per_epoch)..end,
            };
            let epoch_end = Leg::EpochEnd {
                epoch: EpochIndex(index),
                step: StepIndex(end),
                checkpoint,
                last,
            };
            [train, epoch_end]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COURSE: Course = Course {
        steps_per_epoch: 10,
        epochs: 3,
        checkpoint_every_epochs: 2,
    };

    fn train(epoch: u32, steps: Range<u64>) -> Leg {
        Leg::Train {
            epoch: EpochIndex(epoch),
            steps,
        }
    }

    fn end(epoch: u32, step: u64, checkpoint: bool, last: bool) -> Leg {
        Leg::EpochEnd {
            epoch: EpochIndex(epoch),
            step: StepIndex(step),
            checkpoint,
            last,
        }
    }

    #[test]
    fn a_job_alternates_epochs_and_their_ends_and_always_saves_the_last() {
        let legs: Vec<_> = COURSE.legs_from(StepIndex(0)).collect();
        let expected = [
            train(0, 0..10),
            end(0, 10, false, false),
            train(1, 10..20),
            end(1, 20, true, false),
            train(2, 20..30),
            end(2, 30, true, true),
        ];
        assert_eq!(legs, expected);
    }

    #[test]
    fn a_job_goes_on_in_the_middle_of_an_epoch() {
        let legs: Vec<_> = COURSE.legs_from(StepIndex(13)).collect();
        assert_eq!(legs[0], train(1, 13..20));
        assert_eq!(legs.len(), 4);
    }

    #[test]
    fn nothing_is_left_after_the_last_step() {
        assert_eq!(COURSE.legs_from(StepIndex(30)).count(), 0);
    }
}
