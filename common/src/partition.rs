//! Which positions of an epoch belong to which step and shard, and which worker owns which shard.
//!
//! Batches differ by at most one sample and so do shards: nothing is dropped, padded or tiny.

use std::ops::Range;

use crate::ids::{Rank, ShardIndex};

/// BatchNorm needs two samples to have a variance.
pub const MIN_SHARD_SAMPLES: u64 = 2;

/// How an epoch is cut into steps and steps into shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochPlan {
    samples: u64,
    steps: u64,
    data_shards: u32,
}

/// Why an epoch can't be cut.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// There is nothing, or a single sample, to train on.
    #[error(
        "the training split has {samples} samples, fewer than the {MIN_SHARD_SAMPLES} that BatchNorm needs"
    )]
    NoBatch {
        /// Samples of an epoch.
        samples: u64,
    },
    /// Some shard of some step would be too small.
    #[error(
        "{samples} samples in batches of {global_batch} make {steps} steps per epoch, the smallest with {smallest_batch} samples; \
         cut into {data_shards} data shards, one gets {smallest_shard}, fewer than the {MIN_SHARD_SAMPLES} that BatchNorm needs: \
         raise training.global_batch to {least_batch} or more, or lower training.data_shards"
    )]
    ShardTooSmall {
        /// Samples of an epoch.
        samples: u64,
        /// As the spec says it.
        global_batch: u64,
        /// Steps of an epoch.
        steps: u64,
        /// Samples of the smallest step.
        smallest_batch: u64,
        /// As the spec says it.
        data_shards: u32,
        /// Samples of the smallest shard.
        smallest_shard: u64,
        /// The smallest batch that would do; every larger one does too.
        least_batch: u64,
    },
    /// Not even one step with all samples would do.
    #[error(
        "{samples} samples cannot be cut into {data_shards} data shards of at least {MIN_SHARD_SAMPLES} samples, which \
         BatchNorm needs, whatever the batch: lower training.data_shards to {} or fewer", samples / MIN_SHARD_SAMPLES
    )]
    TooFewSamples {
        /// Samples of an epoch.
        samples: u64,
        /// As the spec says it.
        data_shards: u32,
    },
}

impl EpochPlan {
    /// Cuts an epoch of `samples` samples into `ceil(samples / global_batch)` steps of `data_shards` shards each.
    ///
    /// # Errors
    /// If a shard of a step would have fewer than [`MIN_SHARD_SAMPLES`].
    pub fn new(samples: u64, global_batch: u64, data_shards: u32) -> Result<Self, PlanError> {
        if samples < MIN_SHARD_SAMPLES {
            return Err(PlanError::NoBatch { samples });
        }
        let (global_batch, data_shards) = (global_batch.max(1), data_shards.max(1));
        let steps = samples.div_ceil(global_batch);
        let smallest_batch = samples / steps;
        let smallest_shard = smallest_batch / u64::from(data_shards);
        if smallest_shard < MIN_SHARD_SAMPLES {
            // A batch is large enough if it makes no more steps than there are samples for.
            let most_steps = samples / (MIN_SHARD_SAMPLES * u64::from(data_shards));
            if most_steps == 0 {
                return Err(PlanError::TooFewSamples {
                    samples,
                    data_shards,
                });
            }
            let least_batch = samples.div_ceil(most_steps);
            return Err(PlanError::ShardTooSmall {
                samples,
                global_batch,
                steps,
                smallest_batch,
                data_shards,
                smallest_shard,
                least_batch,
            });
        }
        Ok(Self {
            samples,
            steps,
            data_shards,
        })
    }

    /// Steps of an epoch.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Samples of an epoch.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Data shards that each step is cut into.
    #[must_use]
    pub fn data_shards(&self) -> u32 {
        self.data_shards
    }

    /// Positions of step `step` of the epoch.
    #[must_use]
    pub fn batch(&self, step: u64) -> Range<u64> {
        part(self.samples, self.steps, step)
    }

    /// Positions of shard `shard` in step `step` of the epoch.
    #[must_use]
    pub fn shard(&self, step: u64, shard: ShardIndex) -> Range<u64> {
        let batch = self.batch(step);
        let within = part(
            batch.end - batch.start,
            u64::from(self.data_shards),
            u64::from(shard.0),
        );
        batch.start + within.start..batch.start + within.end
    }

    /// Samples of the largest shard of any step.
    #[must_use]
    pub fn largest_shard(&self) -> u64 {
        self.samples
            .div_ceil(self.steps)
            .div_ceil(u64::from(self.data_shards))
    }
}

/// Part `index` of `whole` cut into `parts`: sizes differ by at most one and the parts tile the whole.
///
/// # Panics
/// If `parts` is 0: an error of the caller.
#[must_use]
pub fn part(whole: u64, parts: u64, index: u64) -> Range<u64> {
    let bound = |i: u64| {
        let product = u128::from(i) * u128::from(whole) / u128::from(parts);
        u64::try_from(product).unwrap_or(whole)
    };
    bound(index)..bound(index + 1)
}

/// The shards that `rank` of `world` workers owns: a contiguous run, sizes differing by at most one. None are left over,
/// and with at most as many workers as shards every worker owns one.
///
/// # Panics
/// If `world` is 0: an error of the caller.
#[must_use]
pub fn owned_shards(data_shards: u32, world: u32, rank: Rank) -> Vec<ShardIndex> {
    let own = part(u64::from(data_shards), u64::from(world), u64::from(rank.0));
    own.filter_map(|shard| u32::try_from(shard).ok())
        .map(ShardIndex)
        .collect()
}

#[cfg(test)]
mod tests;
