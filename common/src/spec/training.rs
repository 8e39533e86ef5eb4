//! `[training]`: duration, portions and number formats.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits::MAX_DATA_SHARDS;

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
    /// Determines initial weights, sample order, augmentation and dropout.
    #[serde(default)]
    #[garde(skip)]
    pub seed: u64,
    /// Number format of forward and backward.
    #[serde(default)]
    #[garde(skip)]
    pub precision: Precision,
    /// Order of an image's values in memory.
    #[serde(default)]
    #[garde(skip)]
    pub memory_format: MemoryFormat,
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
    /// Weight of each class in the training loss, one number per class; see `torch.nn.CrossEntropyLoss`. The weighted sum is
    /// divided by the samples of the step, where PyTorch's mean divides by the sum of the samples' weights. Default: all 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(length(max = 100_000), inner(range(min = 1e-6, max = 1e6)))]
    pub class_weights: Vec<f32>,
}

pub(super) fn one() -> u32 {
    1
}

/// Number format of forward and backward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32-bit floats throughout.
    #[default]
    F32,
    /// Convolutions and matrix products in bfloat16 by libtorch's autocast; weights, BatchNorm's statistics, the loss and the
    /// update stay in 32 bits.
    Bf16,
}

/// Order of an image's values in memory. It changes the last bits of results, never their meaning: checkpoints and exported weights
/// are the same for both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemoryFormat {
    /// Pixel by pixel, each with all its channels: what convolution kernels work in, so that nothing is reordered.
    #[default]
    ChannelsLast,
    /// Channel by channel: PyTorch's default.
    Contiguous,
}

/// What stays the same from run to run. In both, the samples of every step, its micro-batches and all random draws are the same for
/// any number of workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reproducibility {
    /// Gradients are summed as 32-bit floats: results depend on the number of workers in the last bits.
    Fast,
    /// The same final bytes for any number of workers and any failures, on processors of one kind with equal
    /// `threads_per_worker`: gradients are summed as 32-bit integers, each parameter's with a scale that follows its gradients.
    // A key for what makes a sample's gradient depend on more than its own shard is to be refused with it: BatchNorm over all
    // workers, mixing samples across shards, losses that are no sum over samples. There is none yet.
    #[default]
    Bitwise,
}
