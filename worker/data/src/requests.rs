//! Which micro-batches a worker computes, as pure functions of the plan and of the shards it owns.

#[cfg(test)]
mod tests;

use std::ops::Range;

use convoy_common::ids::{EpochIndex, ShardIndex, StepIndex};
use convoy_common::partition::{EpochPlan, part};

use crate::batch::BatchRequest;

/// The training batches of the owner of `owned`: from step `start` of the job (counted over all epochs) to the end of
/// `epochs`, the shards of a step in ascending order. Steps before `epochs` are left out.
pub fn training_requests(
    plan: &EpochPlan,
    epochs: Range<EpochIndex>,
    owned: &[ShardIndex],
    start: StepIndex,
) -> impl Iterator<Item = BatchRequest> + Send + use<> {
    let plan = *plan;
    let steps_per_epoch = plan.steps();
    let first = start.0.max(u64::from(epochs.start.0) * steps_per_epoch);
    let end = u64::from(epochs.end.0) * steps_per_epoch;
    let shards = ascending(owned);
    (first..end).flat_map(move |step| {
        // Below `epochs.end`, which is a u32.
        let epoch = EpochIndex((step / steps_per_epoch) as u32);
        let step_of_epoch = step % steps_per_epoch;
        shards.clone().into_iter().map(move |shard| BatchRequest {
            epoch,
            step: StepIndex(step),
            shard,
            positions: plan.shard(step_of_epoch, shard),
        })
    })
}

/// The evaluation batches of the owner of `owned`: the test split's `samples` are cut into `data_shards` shards and each
/// shard into micro-batches of at most `micro_batch` samples, as even as can be. A shard without samples has none.
///
/// Epoch and step are 0 in every request; nothing about a test image depends on them.
///
/// # Panics
/// If `micro_batch` or `data_shards` is 0: an error of the caller.
pub fn evaluation_requests(
    samples: u64,
    data_shards: u32,
    owned: &[ShardIndex],
    micro_batch: u64,
) -> impl Iterator<Item = BatchRequest> + Send + use<> {
    assert!(
        micro_batch > 0 && data_shards > 0,
        "micro-batches of {micro_batch} samples, {data_shards} shards"
    );
    ascending(owned).into_iter().flat_map(move |shard| {
        let positions = part(samples, u64::from(data_shards), u64::from(shard.0));
        let length = positions.end - positions.start;
        let batches = length.div_ceil(micro_batch);
        (0..batches).map(move |batch| {
            let within = part(length, batches, batch);
            BatchRequest {
                epoch: EpochIndex(0),
                step: StepIndex(0),
                shard,
                positions: positions.start + within.start..positions.start + within.end,
            }
        })
    })
}

fn ascending(owned: &[ShardIndex]) -> Vec<ShardIndex> {
    let mut shards = owned.to_vec();
    shards.sort_unstable();
    shards.dedup();
    shards
}
