//! `[schedule]`: how the learning rate changes.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// PyTorch's default of `MultiStepLR`.
const GAMMA: f64 = 0.1;

/// How the learning rate changes: linear warm-up, then one of several curves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleSpec {
    /// Which schedule.
    #[garde(skip)]
    pub name: ScheduleName,
    /// Epochs of the warm-up; fractions are allowed.
    #[garde(range(min = 0.0, max = 1_000_000.0))]
    pub warmup_epochs: f64,
    /// The last learning rate as a fraction of the peak, of cosine.
    #[garde(range(min = 0.0, max = 1.0))]
    pub final_factor: f64,
    /// Epochs after which the rate is multiplied by `gamma`, of step; ascending, fractions are allowed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[garde(length(max = 1000), inner(range(min = 0.0, max = 1_000_000.0)))]
    pub milestones: Vec<f64>,
    /// The factor at each milestone, of step. Default: 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(range(min = 1e-6, max = 1.0))]
    pub gamma: Option<f64>,
}

impl Default for ScheduleSpec {
    fn default() -> Self {
        Self {
            name: ScheduleName::Cosine,
            warmup_epochs: 0.0,
            final_factor: 0.0,
            milestones: Vec::new(),
            gamma: None,
        }
    }
}

impl ScheduleSpec {
    /// The factor at each milestone.
    #[must_use]
    pub fn gamma(&self) -> f64 {
        self.gamma.unwrap_or(GAMMA)
    }
}

/// The schedules there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleName {
    /// Linear warm-up, then a half cosine.
    Cosine,
    /// Linear warm-up, then a factor at each milestone, as PyTorch's `MultiStepLR`.
    Step,
    /// One rise and one fall, as PyTorch's `OneCycleLR` with its defaults.
    OneCycle,
    /// Linear warm-up, then always the same.
    Constant,
}
