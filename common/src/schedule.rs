//! Learning rates as a pure function of the step, computed with the `libm` crate: the platform's own may differ in the last bit.

use std::f64::consts::PI;

use crate::spec::{JobSpec, ScheduleName};

/// PyTorch's defaults of `OneCycleLR`: the share of the steps in which the rate rises, the peak over the first rate, the first
/// rate over the last.
const ONE_CYCLE_RISE: f64 = 0.3;
const ONE_CYCLE_FIRST_DIVISOR: f64 = 25.0;
const ONE_CYCLE_LAST_DIVISOR: f64 = 1e4;

/// The learning rate of each step of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// The highest learning rate, and the one at the end of the warm-up.
    pub peak: f64,
    /// Steps of the linear warm-up from 0 (Goyal et al., "Accurate, Large Minibatch SGD", 2017, section 2.2); 0 for none.
    pub warmup_steps: u64,
    /// What follows the warm-up.
    pub curve: Curve,
}

/// How the learning rate changes after the warm-up.
#[derive(Clone, Debug, PartialEq)]
pub enum Curve {
    /// Not at all.
    Constant,
    /// A half cosine from the warm-up's end to the job's (Loshchilov and Hutter, SGDR, 2017, equation 5, without restarts).
    Cosine {
        /// Steps of the whole job.
        total_steps: u64,
        /// The last learning rate as a fraction of the peak, 0 to 1.
        final_factor: f64,
    },
    /// PyTorch's `MultiStepLR`.
    Step {
        /// Steps, counted from the job's start, from which on the rate is `gamma` times what it was; ascending.
        milestones: Vec<u64>,
        /// The factor.
        gamma: f64,
    },
    /// One rise and one fall, both half cosines, over the whole job (Smith and Topin, "Super-Convergence", 2017): PyTorch's
    /// `OneCycleLR` with its defaults, but for the momentum, which stays as it is. Without warm-up: it is one.
    OneCycle {
        /// Steps of the whole job.
        total_steps: u64,
    },
}

impl Schedule {
    /// The schedule of a job whose epochs have `steps_per_epoch` steps; epochs of the spec may be fractions and are rounded to
    /// the nearest step.
    #[must_use]
    pub fn of_job(spec: &JobSpec, steps_per_epoch: u64) -> Self {
        let total_steps = steps_per_epoch * u64::from(spec.training.epochs);
        let steps = |epochs: f64| (epochs * steps_per_epoch as f64).round() as u64;
        let curve = match spec.schedule.name {
            ScheduleName::Constant => Curve::Constant,
            ScheduleName::Cosine => Curve::Cosine {
                total_steps,
                final_factor: spec.schedule.final_factor,
            },
            ScheduleName::Step => Curve::Step {
                milestones: spec
                    .schedule
                    .milestones
                    .iter()
                    .map(|epochs| steps(*epochs))
                    .collect(),
                gamma: spec.schedule.gamma(),
            },
            ScheduleName::OneCycle => Curve::OneCycle { total_steps },
        };
        Self {
            peak: spec.peak_learning_rate(),
            warmup_steps: steps(spec.schedule.warmup_epochs),
            curve,
        }
    }

    /// The learning rate of step `step`, counted from 0. After the last step it stays as it was.
    #[must_use]
    pub fn at(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return self.peak * (step + 1) as f64 / self.warmup_steps as f64;
        }
        match &self.curve {
            Curve::Constant => self.peak,
            Curve::Cosine {
                total_steps,
                final_factor,
            } => {
                let decay_steps = total_steps.saturating_sub(self.warmup_steps).max(1);
                let done = ((step - self.warmup_steps) as f64 / decay_steps as f64).min(1.0);
                let cosine = 0.5 * (1.0 + libm::cos(PI * done));
                self.peak * (final_factor + (1.0 - final_factor) * cosine)
            }
            // Multiplied one by one, as PyTorch does: a power would be rounded otherwise.
            Curve::Step { milestones, gamma } => milestones
                .iter()
                .take_while(|milestone| **milestone <= step)
                .fold(self.peak, |rate, _| rate * gamma),
            Curve::OneCycle { total_steps } => one_cycle(self.peak, *total_steps, step),
        }
    }
}

/// The two phases of `OneCycleLR`, whose borders may lie between two steps.
fn one_cycle(peak: f64, total_steps: u64, step: u64) -> f64 {
    let first = peak / ONE_CYCLE_FIRST_DIVISOR;
    let last = first / ONE_CYCLE_LAST_DIVISOR;
    let rise_end = ONE_CYCLE_RISE * total_steps as f64 - 1.0;
    let fall_end = total_steps as f64 - 1.0;
    let now = (step as f64).min(fall_end);
    if now <= rise_end {
        between(first, peak, now / rise_end)
    } else {
        between(peak, last, (now - rise_end) / (fall_end - rise_end))
    }
}

/// A half cosine from `start` to `end`; `done` is 0 to 1.
fn between(start: f64, end: f64, done: f64) -> f64 {
    end + (start - end) / 2.0 * (libm::cos(PI * done) + 1.0)
}

#[cfg(test)]
mod tests;
