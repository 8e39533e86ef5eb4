use proptest::prelude::*;

use super::*;
use crate::property_tests::reproducible;

fn whole_order(seed: u64, epoch: u32, samples: u64) -> Vec<u64> {
    let order = SampleOrder::new(seed, EpochIndex(epoch), samples);
    (0..samples)
        .map(|position| order.sample_at(position))
        .collect()
}

proptest! {
    #![proptest_config(reproducible())]

    #[test]
    fn every_sample_has_exactly_one_position(seed: u64, epoch: u32, samples in 0u64..3_000) {
        let mut order = whole_order(seed, epoch, samples);
        order.sort_unstable();
        prop_assert_eq!(order, (0..samples).collect::<Vec<_>>());
    }

    #[test]
    fn epochs_and_seeds_have_orders_of_their_own(seed: u64, epoch in 0u32..1_000_000, samples in 100u64..1_000) {
        let order = whole_order(seed, epoch, samples);
        prop_assert_ne!(&order, &whole_order(seed, epoch + 1, samples));
        prop_assert_ne!(&order, &whole_order(seed.wrapping_add(1), epoch, samples));
        prop_assert_ne!(&order, &(0..samples).collect::<Vec<_>>());
    }

    #[test]
    fn positions_of_huge_datasets_lead_into_the_dataset(seed: u64, samples in 1u64.., position: u64) {
        let order = SampleOrder::new(seed, EpochIndex(0), samples);
        prop_assert!(order.sample_at(position % samples) < samples);
    }
}

/// These values were computed by an independent implementation. A change of the order breaks every checkpoint that was
/// written in the middle of an epoch, and every published hash of weights.
#[test]
fn the_order_never_changes() {
    assert_eq!(whole_order(42, 0, 10), [9, 3, 1, 5, 8, 6, 2, 4, 7, 0]);
    assert_eq!(whole_order(42, 1, 10), [9, 7, 2, 1, 3, 0, 6, 8, 4, 5]);
    let order = SampleOrder::new(7, EpochIndex(3), 60_000);
    let positions = [0, 1, 2, 29_999, 59_999];
    assert_eq!(
        positions.map(|position| order.sample_at(position)),
        [18_228, 41_278, 31_882, 19_550, 24_777]
    );
    let order = SampleOrder::new(u64::MAX, EpochIndex(u32::MAX), u64::MAX);
    let samples = [
        6_468_638_081_479_853_396,
        7_574_984_896_752_022_483,
        17_965_499_638_138_963_700,
    ];
    assert_eq!(
        [0, 1, u64::MAX - 1].map(|position| order.sample_at(position)),
        samples
    );
}

#[test]
fn the_hashes_of_the_accounting_never_change() {
    assert_eq!(
        [0, 1, 2].map(mix),
        [0, 0x5692_161d_100b_05e5, 0xdbd2_3897_3a2b_148a]
    );
    assert_eq!(
        [0, 1].map(sample_hash),
        [0xe220_a839_7b1d_cdaf, 0x910a_2dec_8902_5cc1]
    );
    assert_eq!(dataset_hash_sum(60_000), 0xb0e1_21ee_8061_5b60);
    assert_eq!(dataset_hash_sum(0), 0);
}

#[test]
fn over_many_seeds_each_position_gets_each_sample_about_equally_often() {
    let mut counts = [[0u32; 10]; 10];
    for seed in 0..10_000 {
        for (position, sample) in whole_order(seed, 0, 10).into_iter().enumerate() {
            counts[position][usize::try_from(sample).unwrap()] += 1;
        }
    }
    let all = counts.iter().flatten();
    assert!(
        all.clone().all(|count| (850..1_150).contains(count)),
        "{counts:?}"
    );
}

#[test]
#[should_panic(expected = "position 10 of an epoch of 10 samples")]
fn a_position_after_the_epoch_is_an_error_of_the_caller() {
    let _ = SampleOrder::new(0, EpochIndex(0), 10).sample_at(10);
}
