//! What is trained. To add a network: a variant of [`ModelArgument`], a line in [`Workload::new`], and its Python in `train.py`.

use std::path::Path;

use convoy_common::spec::Reproducibility;
use serde::Serialize;
use serde_json::{Value, json};

use super::super::arguments::ModelArgument;

/// Mean and deviation of Fashion-MNIST's training pixels.
const MEAN: f64 = 0.2860;
const STD: f64 = 0.3530;

/// A network, its images and its optimizer, as both sides read them.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Workload {
    config: Value,
    #[serde(skip)]
    steps_per_turn: u32,
    #[serde(skip)]
    batch: u32,
    #[serde(skip)]
    name: &'static str,
}

impl Workload {
    /// The network on images of its own size, or on the dataset in `data`.
    pub(super) fn new(model: ModelArgument, batch: Option<u32>, data: Option<&Path>) -> Self {
        let (name, spec, shape, default_batch, steps_per_turn) = match model {
            ModelArgument::SmallCnn => (
                "small_cnn",
                json!({ "name": "small_cnn", "classes": 10 }),
                [1, 28, 28],
                256,
                4,
            ),
            ModelArgument::Resnet18 => (
                "resnet18",
                json!({ "name": "resnet18", "classes": 10, "stem": "cifar" }),
                [3, 32, 32],
                128,
                1,
            ),
        };
        let batch = batch.unwrap_or(default_batch);
        let config = json!({
            "model": spec,
            "shape": if data.is_some() { [1, 28, 28] } else { shape },
            "batch": batch,
            "optimizer": {
                "name": "sgd",
                "learning_rate": 0.01,
                "momentum": 0.9,
                "nesterov": true,
                "weight_decay": 5e-4,
            },
            "data": data.map(fashion_mnist),
        });
        Self {
            config,
            steps_per_turn,
            batch,
            name,
        }
    }

    /// What PyTorch's members are given.
    pub(super) fn config(&self) -> &Value {
        &self.config
    }

    /// What ours are given: the same, how gradients are summed, and of how many shards at most.
    pub(super) fn own_config(&self, mode: Reproducibility, data_shards: u32) -> Value {
        let mut config = self.config.clone();
        config["reproducibility"] = json!(mode);
        config["data_shards"] = json!(data_shards);
        config
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Samples of a step, over all workers.
    pub(super) fn batch(&self) -> u32 {
        self.batch
    }

    /// Timed steps of a turn: a second or a few of work.
    pub(super) fn steps_per_turn(&self) -> u32 {
        self.steps_per_turn
    }
}

/// `[data]` of a job spec.
fn fashion_mnist(folder: &Path) -> Value {
    let file = |name: &str| {
        let plain = folder.join(format!("{name}-ubyte"));
        let compressed = folder.join(format!("{name}-ubyte.gz"));
        if plain.exists() { plain } else { compressed }
    };
    json!({
        "format": "idx",
        "train_images": file("train-images-idx3"),
        "train_labels": file("train-labels-idx1"),
        "test_images": file("t10k-images-idx3"),
        "test_labels": file("t10k-labels-idx1"),
        "mean": [MEAN],
        "std": [STD],
        "augment": { "crop_padding": 2, "flip": true },
    })
}
