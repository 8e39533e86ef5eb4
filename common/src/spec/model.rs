//! `[model]`: the network.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// Which network.
    #[garde(skip)]
    pub name: ModelName,
    /// Number of classes.
    #[garde(range(min = 2, max = 100_000))]
    pub classes: u32,
}

/// The networks there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModelName {
    /// Two convolutions with BatchNorm, two linear layers.
    SmallCnn,
}
