//! How many workers a spec allows.

use serde::{Deserialize, Serialize};

use super::JobSpec;

/// What a spec says about the number of workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerBounds {
    /// Each worker owns at least one of them.
    pub data_shards: u32,
    /// Fewer workers wait.
    pub min_workers: u32,
    /// More workers are not used.
    pub max_workers: u32,
}

/// Why a job can't run with so many workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum WorkersRefused {
    /// Some worker would own no shard.
    #[error(
        "more workers than data shards: {workers} workers cannot share {data_shards} data shards, each needs one of its own; \
         use at most {data_shards} workers or raise training.data_shards and elastic.max_workers"
    )]
    MoreThanShards {
        /// Wanted.
        workers: u32,
        /// What the spec has.
        data_shards: u32,
    },
    /// Fewer than the job waits for.
    #[error(
        "too few workers: {workers}, and the job waits for elastic.min_workers = {min_workers}"
    )]
    TooFew {
        /// Wanted.
        workers: u32,
        /// What the spec has.
        min_workers: u32,
    },
    /// More than the job uses.
    #[error(
        "too many workers: {workers}, and the job uses at most elastic.max_workers = {max_workers}"
    )]
    TooMany {
        /// Wanted.
        workers: u32,
        /// What the spec has.
        max_workers: u32,
    },
}

impl WorkerBounds {
    /// Whether a job with these bounds can run with `workers` workers.
    ///
    /// # Errors
    /// If there are more than data shards, or they are outside the elastic bounds.
    pub fn check(&self, workers: u32) -> Result<(), WorkersRefused> {
        let Self {
            data_shards,
            min_workers,
            max_workers,
        } = *self;
        if workers > data_shards {
            return Err(WorkersRefused::MoreThanShards {
                workers,
                data_shards,
            });
        }
        if workers < min_workers {
            return Err(WorkersRefused::TooFew {
                workers,
                min_workers,
            });
        }
        if workers > max_workers {
            return Err(WorkersRefused::TooMany {
                workers,
                max_workers,
            });
        }
        Ok(())
    }
}

impl JobSpec {
    /// What the spec says about the number of workers.
    #[must_use]
    pub fn worker_bounds(&self) -> WorkerBounds {
        WorkerBounds {
            data_shards: self.data_shards(),
            min_workers: self.elastic.min_workers,
            max_workers: self.elastic.max_workers,
        }
    }

    /// Whether the job can run with `workers` workers.
    ///
    /// # Errors
    /// If there are more than data shards, or they are outside the elastic bounds.
    pub fn check_workers(&self, workers: u32) -> Result<(), WorkersRefused> {
        self.worker_bounds().check(workers)
    }
}
