use proptest::prelude::*;

use super::*;
use crate::property_tests::reproducible;

/// Any epoch that a spec can describe and that may be cut.
fn plans() -> impl Strategy<Value = (u64, u64, u32)> {
    (2u64..5_000, 1u64..600, 1u32..40).prop_filter("can be cut", |(samples, batch, shards)| {
        EpochPlan::new(*samples, *batch, *shards).is_ok()
    })
}

fn least_and_most(sizes: impl Iterator<Item = u64> + Clone) -> (u64, u64) {
    (sizes.clone().min().unwrap(), sizes.max().unwrap())
}

fn size(range: Range<u64>) -> u64 {
    range.end - range.start
}

proptest! {
    #![proptest_config(reproducible())]

    #[test]
    fn batches_tile_the_epoch_and_shards_tile_the_batch((samples, batch, shards) in plans()) {
        let plan = EpochPlan::new(samples, batch, shards).unwrap();
        prop_assert_eq!(plan.steps(), samples.div_ceil(batch));
        let mut next = 0;
        for step in 0..plan.steps() {
            prop_assert_eq!(plan.batch(step).start, next);
            for shard in 0..shards {
                let positions = plan.shard(step, ShardIndex(shard));
                prop_assert_eq!(positions.start, next);
                next = positions.end;
            }
            prop_assert_eq!(plan.batch(step).end, next);
        }
        prop_assert_eq!(next, samples);
    }

    #[test]
    fn batches_differ_by_one_sample_and_so_do_the_shards_of_a_step((samples, batch, shards) in plans()) {
        let plan = EpochPlan::new(samples, batch, shards).unwrap();
        let (least, most) = least_and_most((0..plan.steps()).map(|step| size(plan.batch(step))));
        prop_assert!(most - least <= 1);
        prop_assert!(most <= batch);
        for step in 0..plan.steps() {
            let (least, most) = least_and_most((0..shards).map(|shard| size(plan.shard(step, ShardIndex(shard)))));
            prop_assert!(most - least <= 1);
            prop_assert!(least >= MIN_SHARD_SAMPLES);
            prop_assert!(most <= plan.largest_shard());
        }
    }

    #[test]
    fn a_refused_plan_says_what_would_do(samples in 0u64..3_000, batch in 0u64..200, shards in 0u32..40, more in 0u64..500) {
        let retry = |batch, shards| EpochPlan::new(samples, batch, shards);
        match retry(batch, shards) {
            Ok(_) => {}
            Err(PlanError::NoBatch { .. }) => prop_assert!(samples < MIN_SHARD_SAMPLES),
            Err(PlanError::TooFewSamples { .. }) => {
                prop_assert!(retry(samples, shards).is_err(), "one step with all samples");
                let most = u32::try_from(samples / MIN_SHARD_SAMPLES).unwrap();
                prop_assert!(retry(samples, most).is_ok());
                prop_assert!(retry(samples, most + 1).is_err());
            }
            Err(PlanError::ShardTooSmall { least_batch, .. }) => {
                prop_assert!(retry(least_batch, shards).is_ok());
                prop_assert!(retry(least_batch + more, shards).is_ok());
                prop_assert!(retry(least_batch - 1, shards).is_err());
            }
        }
    }

    #[test]
    fn owned_shards_tile_the_shards_in_the_order_of_ranks(shards in 1u32..300, world in 1u32..300) {
        let owned: Vec<Vec<ShardIndex>> = (0..world).map(|rank| owned_shards(shards, world, Rank(rank))).collect();
        let all: Vec<ShardIndex> = (0..shards).map(ShardIndex).collect();
        prop_assert_eq!(owned.concat(), all);
        let (least, most) = least_and_most(owned.iter().map(|own| own.len() as u64));
        prop_assert!(most - least <= 1);
        prop_assert!(least >= 1 || world > shards);
    }

    #[test]
    fn parts_of_the_largest_numbers_do_not_overflow(parts in 1u64.., index in 0u64..) {
        let index = index % parts;
        let range = part(u64::MAX, parts, index);
        prop_assert!(range.start < range.end);
        prop_assert!(index + 1 < parts || range.end == u64::MAX);
    }
}

#[test]
fn fashion_mnist_in_batches_of_128_is_cut_as_the_design_says() {
    let plan = EpochPlan::new(60_000, 128, 4).unwrap();
    assert_eq!(
        (plan.steps(), plan.samples(), plan.largest_shard()),
        (469, 60_000, 32)
    );
    assert_eq!(plan.batch(0), 0..127);
    assert_eq!(plan.batch(468), 59_872..60_000);
    assert_eq!(plan.shard(0, ShardIndex(0)), 0..31);
    assert_eq!(plan.shard(0, ShardIndex(3)), 95..127);
}

#[test]
fn refusals_name_the_numbers_and_the_way_out() {
    let refused = |samples, batch, shards| {
        EpochPlan::new(samples, batch, shards)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused(100, 16, 8),
        "100 samples in batches of 16 make 7 steps per epoch, the smallest with 14 samples; cut into 8 data shards, one gets 1, \
         fewer than the 2 that BatchNorm needs: raise training.global_batch to 17 or more, or lower training.data_shards"
    );
    assert_eq!(
        refused(15, 16, 8),
        "15 samples cannot be cut into 8 data shards of at least 2 samples, which BatchNorm needs, whatever the batch: \
         lower training.data_shards to 7 or fewer"
    );
    assert_eq!(
        refused(0, 16, 8),
        "the training split has 0 samples, fewer than the 2 that BatchNorm needs"
    );
}
