//! Which sample comes when, over a whole epoch and any number of workers: order, partition and accounting together.

use std::collections::BTreeMap;

use convoy_common::ids::{EpochIndex, Rank, ShardIndex};
use convoy_common::order::{SampleOrder, dataset_hash_sum, sample_hash};
use convoy_common::partition::{EpochPlan, owned_shards};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// Samples by step and shard, as `world` workers would take them between them.
fn taken_by_workers(
    plan: &EpochPlan,
    order: &SampleOrder,
    data_shards: u32,
    world: u32,
) -> Vec<((u64, ShardIndex), Vec<u64>)> {
    let ranks = (0..world).map(Rank);
    let work = ranks.flat_map(|rank| owned_shards(data_shards, world, rank));
    let work = work.flat_map(|shard| (0..plan.steps()).map(move |step| (step, shard)));
    let taken = work.map(|(step, shard)| {
        let samples = plan
            .shard(step, shard)
            .map(|position| order.sample_at(position));
        ((step, shard), samples.collect())
    });
    taken.collect()
}

/// The same cases in every run; more with `PROPTEST_CASES`.
fn reproducible() -> ProptestConfig {
    ProptestConfig {
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(reproducible())]

    #[test]
    fn any_workers_take_every_sample_once_and_the_same_in_each_shard_of_each_step(
        (samples, batch, shards) in (2u64..2_000, 1u64..400, 1u32..24),
        seed: u64,
        epoch: u32,
        world_choice: u32,
    ) {
        let Ok(plan) = EpochPlan::new(samples, batch, shards) else { return Ok(()) };
        let order = SampleOrder::new(seed, EpochIndex(epoch), samples);
        let world = world_choice % shards + 1;
        let taken = taken_by_workers(&plan, &order, shards, world);

        let mut all: Vec<u64> = taken.iter().flat_map(|(_, samples)| samples.clone()).collect();
        let sum = all.iter().copied().map(sample_hash).fold(0, u64::wrapping_add);
        prop_assert_eq!(sum, dataset_hash_sum(samples));
        all.sort_unstable();
        prop_assert_eq!(all, (0..samples).collect::<Vec<_>>());

        let alone = taken_by_workers(&plan, &order, shards, 1);
        let entries = taken.len();
        let taken: BTreeMap<_, _> = taken.into_iter().collect();
        prop_assert_eq!(taken.len(), entries, "no shard of a step is taken twice");
        prop_assert_eq!(taken, alone.into_iter().collect::<BTreeMap<_, _>>());
    }
}
