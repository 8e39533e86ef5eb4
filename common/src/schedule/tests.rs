use proptest::prelude::*;

use super::*;
use crate::property_tests::reproducible;

const SCHEDULE: CosineSchedule = CosineSchedule {
    peak: 0.1,
    warmup_steps: 10,
    total_steps: 100,
    final_factor: 0.01,
};

/// From the formula in double precision, computed by an independent implementation.
#[test]
fn learning_rates_never_change() {
    let expected = [
        (0, 0.01),
        (4, 0.05),
        (9, 0.1),
        (10, 0.1),
        (55, 0.0505),
        (99, 0.001_030_154_062_554_76),
        (100, 0.001),
        (1_000, 0.001),
    ];
    for (step, rate) in expected {
        assert_eq!(SCHEDULE.at(step), rate, "step {step}");
    }
}

#[test]
fn without_warm_up_the_first_step_has_the_peak() {
    assert_eq!(
        CosineSchedule {
            warmup_steps: 0,
            ..SCHEDULE
        }
        .at(0),
        0.1
    );
}

#[test]
fn a_warm_up_as_long_as_the_job_reaches_the_peak_at_its_last_step() {
    let schedule = CosineSchedule {
        warmup_steps: 100,
        ..SCHEDULE
    };
    assert_eq!(schedule.at(99), 0.1);
    assert_eq!(schedule.at(100), 0.1);
}

proptest! {
    #![proptest_config(reproducible())]

    #[test]
    fn rates_rise_to_the_peak_then_fall_to_the_final_factor(
        peak in 1e-9..1e3f64, warmup_steps in 0u64..200, more in 1u64..300, final_factor in 0.0..=1.0f64,
    ) {
        let schedule = CosineSchedule { peak, warmup_steps, total_steps: warmup_steps + more, final_factor };
        let rates: Vec<f64> = (0..=schedule.total_steps).map(|step| schedule.at(step)).collect();
        let (rising, falling) = rates.split_at(usize::try_from(warmup_steps).unwrap());
        prop_assert!(rising.is_sorted());
        prop_assert!(falling.is_sorted_by(|a, b| a >= b));
        prop_assert!(rates.iter().all(|rate| *rate > 0.0 || final_factor == 0.0));
        prop_assert!(rates.iter().all(|rate| (0.0..=peak * (1.0 + 1e-15)).contains(rate)));
        let last = schedule.at(schedule.total_steps);
        prop_assert!((last - peak * final_factor).abs() <= peak * 1e-15);
    }
}
