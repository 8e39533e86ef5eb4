//! From reduced gradients to new parameters, over flat memory.
//!
//! Everything here is computed from reduced data and from the number of applied updates alone, so that all members get the
//! same bits.

mod lars;
mod norm;
mod segments;
#[cfg(test)]
mod tests;

use convoy_common::schedule::Schedule;
use convoy_common::spec::{OptimizerName, OptimizerSpec};
use convoy_torch::{AdamWStep, FlatBuffer, FusedUpdate, SgdStep, TorchError};
use tch::Kind;

use self::lars::LarsStep;
pub(crate) use self::segments::Segment;

/// PyTorch's `clip_grad_norm_` adds it to the divisor.
const CLIP_EPSILON: f64 = 1e-6;

/// An optimizer and its state, which lies in flat memory like the parameters'.
pub(crate) struct Optimizer {
    spec: OptimizerSpec,
    schedule: Schedule,
    segments: Vec<Segment>,
    method: Method,
}

enum Method {
    Sgd {
        groups: Vec<Group>,
        /// Present if there is momentum.
        velocity: Option<FlatBuffer>,
    },
    AdamW {
        groups: Vec<Group>,
        /// Running means of the gradients and of their squares.
        means: FlatBuffer,
        squares: FlatBuffer,
    },
    Lars {
        velocity: FlatBuffer,
    },
}

/// Parameters with one weight decay.
struct Group {
    weight_decay: f64,
    update: FusedUpdate,
}

/// When an update happens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UpdateTime {
    /// Steps of the job before this one; determines the learning rate.
    pub(crate) step: u64,
    /// Updates that were applied before this one.
    pub(crate) updates: u64,
}

impl Optimizer {
    /// An optimizer of `parameters`, whose `segments` are in the order of memory; `gradients` has the same layout.
    pub(crate) fn new(
        spec: OptimizerSpec,
        schedule: Schedule,
        parameters: &FlatBuffer,
        gradients: &FlatBuffer,
        segments: Vec<Segment>,
    ) -> Result<Self, TorchError> {
        let state = || FlatBuffer::zeros(parameters.len(), Kind::Float);
        let groups = |states: &[&FlatBuffer]| -> Result<Vec<Group>, TorchError> {
            segments::decay_groups(&spec, &segments, parameters.len())
                .into_iter()
                .map(|(weight_decay, runs)| {
                    let update = FusedUpdate::new(parameters, gradients, states, &runs)?;
                    Ok(Group {
                        weight_decay,
                        update,
                    })
                })
                .collect()
        };
        let method = match spec.name {
            OptimizerName::Sgd => {
                let velocity = (spec.momentum > 0.0).then(state);
                let states: Vec<&FlatBuffer> = velocity.iter().collect();
                Method::Sgd {
                    groups: groups(&states)?,
                    velocity,
                }
            }
            OptimizerName::AdamW => {
                let (means, squares) = (state(), state());
                Method::AdamW {
                    groups: groups(&[&means, &squares])?,
                    means,
                    squares,
                }
            }
            OptimizerName::Lars => Method::Lars { velocity: state() },
        };
        Ok(Self {
            spec,
            schedule,
            segments,
            method,
        })
    }

    /// One update. Gradients that are clipped may be scaled in place.
    pub(crate) fn update(
        &mut self,
        time: UpdateTime,
        parameters: &mut FlatBuffer,
        gradients: &mut FlatBuffer,
    ) -> Result<(), TorchError> {
        let learning_rate = self.schedule.at(time.step);
        let gradient_divisor = match self.spec.clip_norm {
            Some(limit) => clip_divisor(norm::global(gradients, &self.segments), limit),
            None => 1.0,
        };
        match &mut self.method {
            Method::Sgd { groups, .. } => groups.iter_mut().try_for_each(|group| {
                group.update.sgd(SgdStep {
                    learning_rate,
                    momentum: self.spec.momentum,
                    nesterov: self.spec.nesterov,
                    weight_decay: group.weight_decay,
                    gradient_divisor,
                })
            }),
            Method::AdamW { groups, .. } => groups.iter_mut().try_for_each(|group| {
                group.update.adamw(AdamWStep {
                    learning_rate,
                    betas: self.spec.betas(),
                    eps: self.spec.eps(),
                    weight_decay: group.weight_decay,
                    count: time.updates + 1,
                    gradient_divisor,
                })
            }),
            Method::Lars { velocity } => {
                let step = LarsStep {
                    learning_rate,
                    momentum: self.spec.momentum,
                    trust_coefficient: self.spec.trust_coefficient(),
                    gradient_factor: 1.0 / gradient_divisor,
                };
                let decay = |segment: &Segment| segments::weight_decay(&self.spec, segment);
                lars::update(step, &self.segments, decay, parameters, gradients, velocity);
                Ok(())
            }
        }
    }

    /// Name and memory of each value that the optimizer keeps per parameter; PyTorch's names where it has them.
    pub(crate) fn states(&self) -> impl Iterator<Item = (&'static str, &FlatBuffer)> {
        let states = match &self.method {
            Method::Sgd { velocity, .. } => [velocity.as_ref().map(|v| ("momentum", v)), None],
            Method::AdamW { means, squares, .. } => {
                [Some(("exp_avg", means)), Some(("exp_avg_sq", squares))]
            }
            Method::Lars { velocity } => [Some(("momentum", velocity)), None],
        };
        states.into_iter().flatten()
    }
}

/// What gradients of this norm are divided by: the inverse of the factor of `torch.nn.utils.clip_grad_norm_`.
fn clip_divisor(norm: f64, limit: f64) -> f64 {
    ((norm + CLIP_EPSILON) / limit).max(1.0)
}
