//! `[model]`: the network.

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::file_path;

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
    /// What a ResNet begins with.
    #[serde(default)]
    #[garde(skip)]
    pub stem: Stem,
    /// Share of the values before the last linear layer that each training step leaves out; what is left is scaled up by as much. 0 is
    /// none, 0.95 the most.
    #[serde(default)]
    #[garde(range(min = 0.0, max = 0.95))]
    pub dropout: f64,
    /// A `.safetensors` file with the weights to start from, torchvision's or those of `convoy checkpoint export`. Where its
    /// number of classes differs, the last linear layer starts anew. Without it, all weights are drawn from `training.seed`.
    #[serde(default)]
    #[schemars(length(min = 1))]
    #[garde(inner(custom(file_path)))]
    pub init: Option<PathBuf>,
}

impl ModelSpec {
    /// The network with everything else as it is by default.
    #[must_use]
    pub fn new(name: ModelName, classes: u32) -> Self {
        Self {
            name,
            classes,
            stem: Stem::default(),
            dropout: 0.0,
            init: None,
        }
    }

    /// Whether the network can take images of this size, in pixels.
    ///
    /// # Errors
    /// If a side is too short.
    pub fn check_images(&self, height: usize, width: usize) -> Result<(), ImagesTooSmall> {
        let least = self.name.least_side();
        if height.min(width) >= least {
            return Ok(());
        }
        Err(ImagesTooSmall {
            model: self.name,
            least,
            height,
            width,
        })
    }
}

/// The images don't fit the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{model} needs images of at least {least}x{least} pixels, the dataset has {height}x{width}; \
     take a dataset with larger images or another model.name"
)]
pub struct ImagesTooSmall {
    /// The network.
    pub model: ModelName,
    /// Smallest side, in pixels.
    pub least: usize,
    /// Height of the dataset's images.
    pub height: usize,
    /// Width of the dataset's images.
    pub width: usize,
}

/// The networks there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModelName {
    /// Two convolutions with BatchNorm, two linear layers.
    SmallCnn,
    /// ResNet of 18 layers, as torchvision's.
    Resnet18,
    /// ResNet of 34 layers.
    Resnet34,
    /// ResNet of 50 layers, with the stride in the 3x3 convolutions (V1.5), as the deeper ones.
    Resnet50,
    /// ResNet of 101 layers.
    Resnet101,
    /// ResNet of 152 layers.
    Resnet152,
}

impl ModelName {
    /// The name as a spec writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SmallCnn => "small_cnn",
            Self::Resnet18 => "resnet18",
            Self::Resnet34 => "resnet34",
            Self::Resnet50 => "resnet50",
            Self::Resnet101 => "resnet101",
            Self::Resnet152 => "resnet152",
        }
    }

    /// The shortest side of an image, in pixels, that the network can take.
    #[must_use]
    pub fn least_side(self) -> usize {
        match self {
            // Two poolings halve the image twice.
            Self::SmallCnn => 4,
            // Everything in them rounds up.
            Self::Resnet18
            | Self::Resnet34
            | Self::Resnet50
            | Self::Resnet101
            | Self::Resnet152 => 1,
        }
    }

    /// The name of the last linear layer, whose outputs are the classes.
    #[must_use]
    pub fn head(self) -> &'static str {
        match self {
            Self::SmallCnn => "fc2",
            Self::Resnet18
            | Self::Resnet34
            | Self::Resnet50
            | Self::Resnet101
            | Self::Resnet152 => "fc",
        }
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a ResNet begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stem {
    /// Convolution 7x7 with stride 2, then max-pool 3x3 with stride 2: a quarter of each side, as torchvision has it.
    #[default]
    Imagenet,
    /// Convolution 3x3 with stride 1, no pooling: for images of 32x32 or so.
    Cifar,
}
