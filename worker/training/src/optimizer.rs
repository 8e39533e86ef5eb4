//! From reduced gradients to new parameters, over flat memory.

use convoy_common::schedule::CosineSchedule;
use convoy_common::spec::{OptimizerName, OptimizerSpec};
use convoy_torch::{FlatBuffer, SgdStep, TorchError, fused_sgd};
use tch::Kind;

/// An optimizer and its state, which lies in flat memory like the parameters'.
pub(crate) struct Optimizer {
    spec: OptimizerSpec,
    schedule: CosineSchedule,
    /// Present if there is momentum.
    velocity: Option<FlatBuffer>,
}

impl Optimizer {
    pub(crate) fn new(spec: OptimizerSpec, schedule: CosineSchedule, elements: usize) -> Self {
        let velocity = (spec.momentum > 0.0).then(|| FlatBuffer::zeros(elements, Kind::Float));
        Self {
            spec,
            schedule,
            velocity,
        }
    }

    /// The update of step `step`, counted from 0.
    pub(crate) fn update(
        &mut self,
        step: u64,
        parameters: &FlatBuffer,
        gradients: &FlatBuffer,
    ) -> Result<(), TorchError> {
        match self.spec.name {
            OptimizerName::Sgd => {
                let sgd = SgdStep {
                    learning_rate: self.schedule.at(step),
                    momentum: self.spec.momentum,
                    nesterov: self.spec.nesterov,
                    weight_decay: self.spec.weight_decay,
                };
                fused_sgd(
                    parameters.tensor(),
                    gradients.tensor(),
                    self.velocity.as_ref().map(FlatBuffer::tensor),
                    sgd,
                )
            }
        }
    }

    /// Name and memory of each value that the optimizer keeps per parameter.
    pub(crate) fn states(&self) -> impl Iterator<Item = (&'static str, &FlatBuffer)> {
        self.velocity.iter().map(|velocity| ("momentum", velocity))
    }
}
