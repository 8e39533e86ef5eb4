//! `[optimizer]`: how gradients become updates.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How gradients become updates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct OptimizerSpec {
    /// Which optimizer.
    #[garde(skip)]
    pub name: OptimizerName,
    /// Peak learning rate.
    #[garde(range(min = 1e-9, max = 1000.0))]
    pub learning_rate: f64,
    /// Momentum of the velocity.
    #[serde(default)]
    #[garde(range(min = 0.0, max = 0.9999))]
    pub momentum: f64,
    /// Nesterov's look-ahead; needs momentum.
    #[serde(default)]
    #[garde(skip)]
    pub nesterov: bool,
    /// L2 penalty, added to the gradient.
    #[serde(default)]
    #[garde(range(min = 0.0, max = 1.0))]
    pub weight_decay: f64,
}

/// The optimizers there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerName {
    /// Stochastic gradient descent as PyTorch's `torch.optim.SGD`.
    Sgd,
}
