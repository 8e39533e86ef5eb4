use std::collections::BTreeMap;

use convoy_common::ids::Rank;
use convoy_common::partition::owned_shards;
use proptest::prelude::*;

use super::*;

/// How often each position of each epoch is asked for.
fn positions_of(requests: impl Iterator<Item = BatchRequest>) -> BTreeMap<(u32, u64), u32> {
    let mut counts = BTreeMap::new();
    for request in requests {
        for position in request.positions {
            *counts.entry((request.epoch.0, position)).or_insert(0) += 1;
        }
    }
    counts
}

fn every_worker<R: Iterator<Item = BatchRequest>>(
    data_shards: u32,
    world: u32,
    requests: impl Fn(&[ShardIndex]) -> R,
) -> Vec<BatchRequest> {
    (0..world)
        .flat_map(|rank| requests(&owned_shards(data_shards, world, Rank(rank))))
        .collect()
}

fn each_once(epochs: Range<u32>, samples: u64) -> BTreeMap<(u32, u64), u32> {
    epochs
        .flat_map(|epoch| (0..samples).map(move |position| ((epoch, position), 1)))
        .collect()
}

proptest! {
    #[test]
    fn all_workers_together_train_on_each_sample_once_per_epoch(
        data_shards in 1u32..10, batch_per_shard in 4u64..12, extra in 0u64..50, steps in 1u64..8, world in 1u32..10,
    ) {
        let world = world.min(data_shards);
        let batch = batch_per_shard * u64::from(data_shards);
        let samples = batch * steps + extra;
        let plan = EpochPlan::new(samples, batch, data_shards).unwrap();
        let epochs = EpochIndex(1)..EpochIndex(3);
        let all = every_worker(data_shards, world, |owned| {
            training_requests(&plan, epochs.clone(), owned, StepIndex(0))
        });
        prop_assert_eq!(positions_of(all.iter().cloned()), each_once(1..3, samples));
        for request in &all {
            prop_assert_eq!(request.step.0 / plan.steps(), u64::from(request.epoch.0));
        }
    }

    #[test]
    fn resumed_training_asks_for_the_rest(start in 0u64..40, world in 1u32..4) {
        let plan = EpochPlan::new(100, 10, 3).unwrap();
        let epochs = EpochIndex(0)..EpochIndex(3);
        for rank in 0..world.min(3) {
            let owned = owned_shards(3, world.min(3), Rank(rank));
            let all = training_requests(&plan, epochs.clone(), &owned, StepIndex(0));
            let rest: Vec<_> = all.filter(|request| request.step.0 >= start).collect();
            let resumed: Vec<_> = training_requests(&plan, epochs.clone(), &owned, StepIndex(start)).collect();
            prop_assert_eq!(resumed, rest);
        }
    }

    #[test]
    fn all_workers_together_evaluate_each_test_sample_once(
        samples in 0u64..500, data_shards in 1u32..20, world in 1u32..20, micro_batch in 1u64..60,
    ) {
        let world = world.min(data_shards);
        let all = every_worker(data_shards, world, |owned| {
            evaluation_requests(samples, data_shards, owned, micro_batch)
        });
        prop_assert!(all.iter().all(|request| (1..=micro_batch).contains(&(request.positions.end - request.positions.start))));
        prop_assert_eq!(positions_of(all.into_iter()), each_once(0..1, samples));
    }

    #[test]
    fn evaluation_batches_do_not_depend_on_the_number_of_workers(
        samples in 0u64..500, data_shards in 1u32..20, world in 1u32..20, micro_batch in 1u64..60,
    ) {
        let cut = |world| every_worker(data_shards, world, |owned| {
            evaluation_requests(samples, data_shards, owned, micro_batch)
        });
        prop_assert_eq!(cut(world.min(data_shards)), cut(1));
    }
}

proptest! {
    /// From any step: what is left of the training, and after each epoch that ends the evaluation of it.
    #[test]
    fn a_job_asks_for_its_training_and_for_an_evaluation_after_each_epoch(
        start in 0u64..40, rank in 0u32..2, test_samples in 0u64..30,
    ) {
        let plan = EpochPlan::new(100, 10, 3).unwrap();
        let epochs = EpochIndex(0)..EpochIndex(3);
        let owned = owned_shards(3, 2, Rank(rank));
        let evaluation = Evaluation { samples: test_samples, micro_batch: 4 };
        let start = StepIndex(start);
        let job: Vec<_> = job_requests(&plan, epochs.clone(), &owned, start, evaluation).collect();
        let of = |split| job.iter().filter(move |request| request.split == split).cloned();
        let training: Vec<_> = training_requests(&plan, epochs, &owned, start).collect();
        prop_assert_eq!(of(Split::Train).collect::<Vec<_>>(), training);
        let cut: Vec<_> = evaluation_requests(test_samples, 3, &owned, 4).map(|request| request.positions).collect();
        prop_assert_eq!(evaluation.batches(&plan, &owned), cut.len());
        for epoch in 0..3u32 {
            let end = StepIndex(u64::from(epoch + 1) * plan.steps());
            let evaluated: Vec<_> = of(Split::Test).filter(|request| request.epoch == EpochIndex(epoch)).collect();
            let positions: Vec<_> = evaluated.iter().map(|request| request.positions.clone()).collect();
            prop_assert!(evaluated.iter().all(|request| request.step == end));
            prop_assert_eq!(positions, if start < end { cut.clone() } else { Vec::new() });
        }
        // Nothing of a later epoch comes before an evaluation, nothing of an earlier one after it.
        prop_assert!(job.is_sorted_by_key(|request| (request.step, request.split == Split::Train)));
    }
}

#[test]
fn shards_of_a_step_come_in_ascending_order_whatever_the_order_of_owners() {
    let plan = EpochPlan::new(24, 12, 3).unwrap();
    let owned = [ShardIndex(2), ShardIndex(0), ShardIndex(2)];
    let order: Vec<_> =
        training_requests(&plan, EpochIndex(0)..EpochIndex(1), &owned, StepIndex(0))
            .map(|request| (request.step.0, request.shard.0, request.positions))
            .collect();
    assert_eq!(
        order,
        [(0, 0, 0..4), (0, 2, 8..12), (1, 0, 12..16), (1, 2, 20..24)]
    );
}

#[test]
fn steps_before_the_epochs_are_left_out() {
    let plan = EpochPlan::new(24, 12, 1).unwrap();
    let steps = |start| -> Vec<u64> {
        training_requests(
            &plan,
            EpochIndex(2)..EpochIndex(4),
            &[ShardIndex(0)],
            StepIndex(start),
        )
        .map(|request| request.step.0)
        .collect()
    };
    assert_eq!(steps(0), [4, 5, 6, 7]);
    assert_eq!(steps(6), [6, 7]);
    assert!(steps(8).is_empty());
}
