//! Who takes turns.

use std::collections::BTreeSet;

use convoy_common::spec::Reproducibility;
use serde::Serialize;
use serde_json::{Value, json};

/// Processes of a PyTorch data loader that are tried, for each worker; 0 loads in the training process.
const LOADER_WORKERS: [u32; 3] = [0, 1, 2];

/// Whose program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Jobs differ in how they sum gradients.
    Convoy(Reproducibility),
    Pytorch,
}

/// A program and how it is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "program", rename_all = "lowercase")]
pub(super) enum Contender {
    /// The trainer as jobs use it.
    Convoy {
        /// Of each worker in a step.
        micro_batches: u32,
        reproducibility: Reproducibility,
        /// Batches come from the job's pipeline; else from memory.
        dataset: bool,
    },
    /// Eager PyTorch; with several workers DistributedDataParallel over Gloo, gradients of all but the last micro-batch under `no_sync`.
    Pytorch {
        /// Of each worker in a step; 1 is plain training.
        micro_batches: u32,
        channels_last: bool,
        /// Processes of its data loader; without, batches come from memory.
        loader_workers: Option<u32>,
    },
}

impl Contender {
    pub(super) fn side(&self) -> Side {
        match self {
            Self::Convoy {
                reproducibility, ..
            } => Side::Convoy(*reproducibility),
            Self::Pytorch { .. } => Side::Pytorch,
        }
    }

    /// Of each worker in a step.
    pub(super) fn micro_batches(&self) -> u32 {
        match self {
            Self::Convoy { micro_batches, .. } | Self::Pytorch { micro_batches, .. } => {
                *micro_batches
            }
        }
    }

    /// What its members are told.
    pub(super) fn turn(&self, steps: u32, warm_up: u32) -> Value {
        let mut turn = json!({
            "micro_batches": self.micro_batches(),
            "steps": steps,
            "warm_up": warm_up,
        });
        match self {
            Self::Convoy { dataset, .. } => turn["dataset"] = json!(dataset),
            Self::Pytorch {
                channels_last,
                loader_workers,
                ..
            } => {
                turn["channels_last"] = json!(channels_last);
                turn["loader_workers"] = json!(loader_workers);
            }
        }
        turn
    }

    /// Its line in a table.
    pub(super) fn label(&self) -> String {
        match self {
            Self::Convoy {
                reproducibility, ..
            } => match reproducibility {
                Reproducibility::Fast => "convoy, fast".to_owned(),
                Reproducibility::Bitwise => "convoy, bitwise".to_owned(),
            },
            Self::Pytorch {
                channels_last,
                loader_workers,
                ..
            } => {
                let format = if *channels_last {
                    ", channels_last"
                } else {
                    ""
                };
                let loader = loader_workers
                    .map(|workers| format!(", num_workers={workers}"))
                    .unwrap_or_default();
                format!("pytorch{format}{loader}")
            }
        }
    }
}

/// For the step alone: ours in each mode with each number of shards; PyTorch's plain, and with the same micro-batches as ours.
pub(super) fn step_contenders(
    modes: &[Reproducibility],
    shards: &[u32],
    workers: u32,
    python: bool,
) -> Vec<Contender> {
    let theirs: BTreeSet<u32> = shards.iter().map(|s| s / workers).chain([1]).collect();
    let pytorch = theirs
        .into_iter()
        .filter(|_| python)
        .flat_map(|micro_batches| {
            [false, true].map(|channels_last| Contender::Pytorch {
                micro_batches,
                channels_last,
                loader_workers: None,
            })
        });
    let convoy = own_contenders(modes, shards, workers, false);
    convoy.into_iter().chain(pytorch).collect()
}

/// From file to update: ours in each mode with each number of shards; PyTorch's plain, with loaders of several sizes.
pub(super) fn end_to_end_contenders(
    modes: &[Reproducibility],
    shards: &[u32],
    workers: u32,
    python: bool,
) -> Vec<Contender> {
    let loaders = LOADER_WORKERS.into_iter().filter(|_| python);
    let pytorch = loaders.flat_map(|loader_workers| {
        [false, true].map(|channels_last| Contender::Pytorch {
            micro_batches: 1,
            channels_last,
            loader_workers: Some(loader_workers),
        })
    });
    let convoy = own_contenders(modes, shards, workers, true);
    convoy.into_iter().chain(pytorch).collect()
}

/// Those that differ in how gradients are summed stand side by side, so that their turns do too.
fn own_contenders(
    modes: &[Reproducibility],
    shards: &[u32],
    workers: u32,
    dataset: bool,
) -> Vec<Contender> {
    let each: BTreeSet<u32> = shards.iter().map(|shards| shards / workers).collect();
    let contender = |micro_batches| {
        modes.iter().map(move |mode| Contender::Convoy {
            micro_batches,
            reproducibility: *mode,
            dataset,
        })
    };
    each.into_iter().flat_map(contender).collect()
}
