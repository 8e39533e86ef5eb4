//! The job spec: what a user writes in TOML to say what to train.
//!
//! **Invariant:** these structs are the only description of a spec. [`crate::document`] checks a file against them; what no
//! single field can say is in `spec/rules.rs`.

mod data;
mod json;
mod message;
mod model;
mod optimizer;
mod parse;
mod rules;
mod schedule;
#[cfg(test)]
mod tests;
mod training;
mod workers;

use std::collections::BTreeMap;
use std::path::PathBuf;

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{self, file_path};
use crate::limits::MAX_DATA_SHARDS;

pub use crate::document::{DocumentErrors as SpecErrors, Place, Problem};
pub use data::{AugmentSpec, DataFiles, DataFormat, DataSpec, IdxPaths};
pub use message::{SpecTooLong, check_message};
pub use model::{ImagesTooSmall, ModelName, ModelSpec, Stem};
pub use optimizer::{OptimizerName, OptimizerSpec};
pub use schedule::{ScheduleName, ScheduleSpec};
pub use training::{MemoryFormat, Precision, Reproducibility, TrainingSpec};
pub use workers::{WorkerBounds, WorkersRefused};

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
    #[garde(custom(file_path))]
    pub folder: PathBuf,
    /// Epochs between two checkpoints.
    #[serde(default = "training::one")]
    #[garde(range(min = 1, max = 1_000_000))]
    pub every_epochs: u32,
}

/// The JSON schema (draft 2020-12) of a job spec.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    document::json_schema::<JobSpec>()
}

impl JobSpec {
    /// The number of data shards: as said, or the largest number of workers.
    #[must_use]
    pub fn data_shards(&self) -> u32 {
        self.training
            .data_shards
            .unwrap_or(self.elastic.max_workers)
    }

    /// The highest learning rate: as said, or scaled to the batch.
    #[must_use]
    pub fn peak_learning_rate(&self) -> f64 {
        self.optimizer
            .scaled_learning_rate(self.training.global_batch)
    }
}
