//! How many workers a spec allows.

use super::JobSpec;

/// Why a job can't run with so many workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
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

impl JobSpec {
    /// Whether the job can run with `workers` workers.
    ///
    /// # Errors
    /// If there are more than data shards, or they are outside the elastic bounds.
    pub fn check_workers(&self, workers: u32) -> Result<(), WorkersRefused> {
        let (data_shards, elastic) = (self.data_shards(), &self.elastic);
        if workers > data_shards {
            return Err(WorkersRefused::MoreThanShards {
                workers,
                data_shards,
            });
        }
        if workers < elastic.min_workers {
            return Err(WorkersRefused::TooFew {
                workers,
                min_workers: elastic.min_workers,
            });
        }
        if workers > elastic.max_workers {
            return Err(WorkersRefused::TooMany {
                workers,
                max_workers: elastic.max_workers,
            });
        }
        Ok(())
    }
}
