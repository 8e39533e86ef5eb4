//! Which micro-batches a worker computes, as pure functions of the plan and of the shards it owns.

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use convoy_common::ids::{EpochIndex, ShardIndex, StepIndex};
use convoy_common::partition::{EpochPlan, part};

use crate::batch::{BatchRequest, Split};

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
    // Shared, so that a step's requests allocate nothing.
    let shards: Arc<[ShardIndex]> = ascending(owned).into();
    (first..end).flat_map(move |step| {
        // Below `epochs.end`, which is a u32.
        let epoch = EpochIndex((step / steps_per_epoch) as u32);
        let step_of_epoch = step % steps_per_epoch;
        let shards = Arc::clone(&shards);
        let shards = (0..shards.len()).map(move |index| shards[index]);
        shards.map(move |shard| BatchRequest {
            split: Split::Train,
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
                split: Split::Test,
                epoch: EpochIndex(0),
                step: StepIndex(0),
                shard,
                positions: positions.start + within.start..positions.start + within.end,
            }
        })
    })
}

/// How the test split is evaluated after each epoch, cut into as many shards as a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// Samples of the test split.
    pub samples: u64,
    /// Most samples of a batch, at least 1.
    pub micro_batch: u64,
}

impl Evaluation {
    /// Batches that the owner of `owned` computes in one evaluation.
    ///
    /// # Panics
    /// As [`evaluation_requests`].
    #[must_use]
    pub fn batches(&self, plan: &EpochPlan, owned: &[ShardIndex]) -> usize {
        self.requests(plan, owned).count()
    }

    fn requests(
        &self,
        plan: &EpochPlan,
        owned: &[ShardIndex],
    ) -> impl Iterator<Item = BatchRequest> + Send + use<> {
        evaluation_requests(self.samples, plan.data_shards(), owned, self.micro_batch)
    }
}

/// Everything that the owner of `owned` computes after `start` completed steps, for one pipeline: the training batches of
/// what is left of an epoch, then the evaluation of it, then the next epoch up to the end of `epochs`. Evaluation batches
/// carry the epoch that has ended and the number of steps completed by then. An epoch that ends at `start` is not
/// evaluated again.
///
/// # Panics
/// As [`evaluation_requests`].
pub fn job_requests(
    plan: &EpochPlan,
    epochs: Range<EpochIndex>,
    owned: &[ShardIndex],
    start: StepIndex,
    evaluation: Evaluation,
) -> impl Iterator<Item = BatchRequest> + Send + use<> {
    let plan = *plan;
    let owned = owned.to_vec();
    let first = (start.0 / plan.steps()).max(u64::from(epochs.start.0));
    // Both below `epochs.end`, which is a u32, or there is no epoch.
    let left = (first..u64::from(epochs.end.0)).map(|epoch| EpochIndex(epoch as u32));
    left.flat_map(move |epoch| {
        let end = StepIndex(u64::from(epoch.next().0) * plan.steps());
        let training = training_requests(&plan, epoch..epoch.next(), &owned, start);
        let evaluated = evaluation
            .requests(&plan, &owned)
            .map(move |request| BatchRequest {
                epoch,
                step: end,
                ..request
            });
        training.chain(evaluated)
    })
}

fn ascending(owned: &[ShardIndex]) -> Vec<ShardIndex> {
    let mut shards = owned.to_vec();
    shards.sort_unstable();
    shards.dedup();
    shards
}
