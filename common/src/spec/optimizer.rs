//! `[optimizer]`: how gradients become updates.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The largest beta: the next digits would not survive the products of a long job.
pub(super) const MAX_BETA: f64 = 0.999_999;
/// PyTorch's defaults of `torch.optim.AdamW`.
const ADAMW_BETAS: [f64; 2] = [0.9, 0.999];
const ADAMW_EPS: f64 = 1e-8;
/// The coefficient with which You et al. (2017) train `ResNet-50`.
const LARS_TRUST_COEFFICIENT: f64 = 0.001;

/// How gradients become updates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct OptimizerSpec {
    /// Which optimizer.
    #[garde(skip)]
    pub name: OptimizerName,
    /// Peak learning rate; for a batch of `base_batch` samples if that is set.
    #[garde(range(min = 1e-9, max = 1000.0))]
    pub learning_rate: f64,
    /// The linear scaling rule (Goyal et al., 2017): the learning rate is multiplied by global_batch / base_batch. Default: it
    /// is used as it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(range(min = 1, max = 1_048_576))]
    pub base_batch: Option<u32>,
    /// Momentum of the velocity, of sgd and lars.
    #[serde(default)]
    #[garde(range(min = 0.0, max = 0.9999))]
    pub momentum: f64,
    /// Nesterov's look-ahead, of sgd; needs momentum.
    #[serde(default)]
    #[garde(skip)]
    pub nesterov: bool,
    /// Weight decay: an L2 penalty added to the gradient for sgd and lars, decoupled from it for adamw.
    #[serde(default)]
    #[garde(range(min = 0.0, max = 1.0))]
    pub weight_decay: f64,
    /// Whether parameters of one dimension decay too: scale and shift of normalisations, and biases. PyTorch decays them;
    /// leaving them alone is common for large batches.
    #[serde(default = "yes")]
    #[garde(skip)]
    pub decay_norm_and_bias: bool,
    /// How much adamw keeps of the running means of gradients and of their squares. Default: 0.9 and 0.999.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(inner(range(min = 0.0, max = MAX_BETA)))]
    #[garde(skip)]
    pub betas: Option<[f64; 2]>,
    /// What adamw adds to the divisor. Default: 1e-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(range(min = 1e-15, max = 1.0))]
    pub eps: Option<f64>,
    /// Length of a parameter's update relative to the parameter's own, of lars. Default: 0.001.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(range(min = 1e-9, max = 1000.0))]
    pub trust_coefficient: Option<f64>,
    /// Longest gradient, as the 2-norm over all parameters; a longer one is scaled down to it. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(range(min = 1e-9, max = 1e9))]
    pub clip_norm: Option<f64>,
    /// Share that a moving average of the weights keeps per step; after n steps (1 + n) / (10 + n) if that is less. If set,
    /// evaluation and exported weights are the average's. Default: no average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(range(min = 0.0, max = 0.999_999_9))]
    pub ema_decay: Option<f64>,
}

fn yes() -> bool {
    true
}

impl OptimizerSpec {
    /// An optimizer with every other key at its default.
    #[must_use]
    pub fn new(name: OptimizerName, learning_rate: f64) -> Self {
        Self {
            name,
            learning_rate,
            base_batch: None,
            momentum: 0.0,
            nesterov: false,
            weight_decay: 0.0,
            decay_norm_and_bias: true,
            betas: None,
            eps: None,
            trust_coefficient: None,
            clip_norm: None,
            ema_decay: None,
        }
    }

    /// Both betas of adamw.
    #[must_use]
    pub fn betas(&self) -> [f64; 2] {
        self.betas.unwrap_or(ADAMW_BETAS)
    }

    /// What adamw adds to the divisor.
    #[must_use]
    pub fn eps(&self) -> f64 {
        self.eps.unwrap_or(ADAMW_EPS)
    }

    /// The trust coefficient of lars.
    #[must_use]
    pub fn trust_coefficient(&self) -> f64 {
        self.trust_coefficient.unwrap_or(LARS_TRUST_COEFFICIENT)
    }

    /// The learning rate for steps of `global_batch` samples, by the linear scaling rule if `base_batch` is set (Goyal et al.,
    /// "Accurate, Large Minibatch SGD", 2017, section 2.1).
    #[must_use]
    pub fn scaled_learning_rate(&self, global_batch: u32) -> f64 {
        match self.base_batch {
            Some(base) => self.learning_rate * f64::from(global_batch) / f64::from(base),
            None => self.learning_rate,
        }
    }
}

/// The optimizers there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerName {
    /// Stochastic gradient descent as PyTorch's `torch.optim.SGD`.
    Sgd,
    /// Adam with decoupled weight decay as PyTorch's `torch.optim.AdamW`.
    #[serde(rename = "adamw")]
    AdamW,
    /// Layer-wise adaptive rate scaling (You, Gitman and Ginsburg, "Large Batch Training of Convolutional Networks", 2017).
    Lars,
}
