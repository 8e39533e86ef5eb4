//! `[schedule]`: how the learning rate changes.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the learning rate changes: linear warm-up, then a half cosine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleSpec {
    /// Which schedule.
    #[garde(skip)]
    pub name: ScheduleName,
    /// Epochs of the warm-up; fractions are allowed.
    #[garde(range(min = 0.0, max = 1_000_000.0))]
    pub warmup_epochs: f64,
    /// The last learning rate as a fraction of the peak.
    #[garde(range(min = 0.0, max = 1.0))]
    pub final_factor: f64,
}

impl Default for ScheduleSpec {
    fn default() -> Self {
        Self {
            name: ScheduleName::Cosine,
            warmup_epochs: 0.0,
            final_factor: 0.0,
        }
    }
}

/// The schedules there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleName {
    /// Linear warm-up, then a half cosine.
    Cosine,
}
