//! The job spec: what a user writes in TOML to say what to train.
//!
//! **Invariant:** these structs are the only description of a spec. Its JSON schema is derived from them, and unknown
//! keys, types and ranges are checked against that schema; what no single field can say is in `spec/rules.rs`.

mod document;
mod finding;
mod json;
mod key_path;
mod nearest;
mod parse;
mod problem;
mod rules;
mod shape;
mod shape_check;
#[cfg(test)]
mod tests;
mod workers;

use std::collections::BTreeMap;
use std::path::PathBuf;

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits::MAX_DATA_SHARDS;

pub use problem::{Place, Problem, SpecErrors};
pub use shape::json_schema;
pub use workers::WorkersRefused;

/// A job: model, data and how to train.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// Name of the job; its id is made from it. Letters, digits, '-', '_', '.'.
    #[schemars(
        length(min = 1, max = 64),
        regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    )]
    #[garde(custom(rules::job_name))]
    pub name: String,
    /// What to train.
    #[garde(dive)]
    pub model: ModelSpec,
    /// What to train on.
    #[garde(dive)]
    pub data: DataSpec,
    /// How long and in which portions.
    #[garde(dive)]
    pub training: TrainingSpec,
    /// How gradients become updates.
    #[garde(dive)]
    pub optimizer: OptimizerSpec,
    /// How the learning rate changes.
    #[serde(default)]
    #[garde(dive)]
    pub schedule: ScheduleSpec,
    /// With how many workers.
    #[serde(default)]
    #[garde(dive)]
    pub elastic: ElasticSpec,
    /// Where and when state is saved.
    #[garde(dive)]
    pub checkpoints: CheckpointSpec,
    /// Environment variables of the workers.
    #[serde(default)]
    #[garde(skip)]
    pub env: BTreeMap<String, String>,
}

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

/// Duration and portions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct TrainingSpec {
    /// Passes over the training split.
    #[garde(range(min = 1, max = 1_000_000))]
    pub epochs: u32,
    /// Samples of one optimizer update, over all workers.
    #[garde(range(min = 2, max = 1_048_576))]
    pub global_batch: u32,
    /// Logical streams of samples: each step takes one micro-batch from each. Default: `elastic.max_workers`.
    #[serde(default)]
    #[garde(range(min = 1, max = MAX_DATA_SHARDS))]
    pub data_shards: Option<u32>,
    /// Determines initial weights, sample order and augmentation.
    #[serde(default)]
    #[garde(skip)]
    pub seed: u64,
    /// Number format of forward and backward.
    #[serde(default)]
    #[garde(skip)]
    pub precision: Precision,
    /// Threads that libtorch uses inside one worker.
    #[serde(default = "one")]
    #[garde(range(min = 1, max = 1024))]
    pub threads_per_worker: u32,
    /// What stays the same from run to run.
    #[serde(default)]
    #[garde(skip)]
    pub reproducibility: Reproducibility,
    /// Share of the target probability spread over all classes.
    #[serde(default)]
    #[garde(range(min = 0.0, max = 0.9))]
    pub label_smoothing: f64,
}

fn one() -> u32 {
    1
}

/// Number format of forward and backward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32-bit floats throughout.
    #[default]
    F32,
}

/// What stays the same from run to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reproducibility {
    /// Gradients are summed as floats: results depend on the number of workers in the last bits.
    #[default]
    Fast,
    /// The same final bytes for any number of workers and any failures.
    Bitwise,
}

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

/// With how many workers the job may run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct ElasticSpec {
    /// Fewer workers wait.
    #[garde(range(min = 1, max = MAX_DATA_SHARDS))]
    pub min_workers: u32,
    /// More workers are not used.
    #[garde(range(min = 1, max = MAX_DATA_SHARDS))]
    pub max_workers: u32,
}

impl Default for ElasticSpec {
    fn default() -> Self {
        Self {
            min_workers: 1,
            max_workers: 8,
        }
    }
}

/// Where and when state is saved. One checkpoint is always written at the job's end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct CheckpointSpec {
    /// Folder for the checkpoints of all runs; each job makes its own below it.
    #[schemars(length(min = 1))]
    #[garde(custom(rules::file_path))]
    pub folder: PathBuf,
    /// Epochs between two checkpoints.
    #[serde(default = "one")]
    #[garde(range(min = 1, max = 1_000_000))]
    pub every_epochs: u32,
}

impl JobSpec {
    /// The number of data shards: as said, or the largest number of workers.
    #[must_use]
    pub fn data_shards(&self) -> u32 {
        self.training
            .data_shards
            .unwrap_or(self.elastic.max_workers)
    }
}
