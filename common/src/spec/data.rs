//! `[data]`: the dataset.

use std::path::PathBuf;

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// The dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct DataSpec {
    /// Format of the files.
    #[garde(skip)]
    pub format: DataFormat,
    /// Training images. A `.gz` file is decompressed once, beside itself.
    #[schemars(length(min = 1))]
    #[garde(custom(rules::file_path))]
    pub train_images: PathBuf,
    /// Training labels.
    #[schemars(length(min = 1))]
    #[garde(custom(rules::file_path))]
    pub train_labels: PathBuf,
    /// Test images.
    #[schemars(length(min = 1))]
    #[garde(custom(rules::file_path))]
    pub test_images: PathBuf,
    /// Test labels.
    #[schemars(length(min = 1))]
    #[garde(custom(rules::file_path))]
    pub test_labels: PathBuf,
    /// Subtracted from each channel after scaling to 0..1.
    #[garde(length(min = 1, max = 4), inner(range(min = 0.0, max = 1.0)))]
    pub mean: Vec<f32>,
    /// Divides each channel afterwards.
    #[garde(length(min = 1, max = 4), inner(range(min = 0.001, max = 10.0)))]
    pub std: Vec<f32>,
    /// Random changes to training images.
    #[serde(default)]
    #[garde(dive)]
    pub augment: AugmentSpec,
}

/// How the files of a dataset are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DataFormat {
    /// The IDX files of MNIST and its kin, plain or `.gz`.
    Idx,
}

/// Random changes to training images, seeded by job seed, step and position.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct AugmentSpec {
    /// Pad by so many black pixels on each side, then crop the old size at a random place.
    #[garde(range(max = 64))]
    pub crop_padding: u32,
    /// Mirror half of the images left to right.
    #[garde(skip)]
    pub flip: bool,
}
