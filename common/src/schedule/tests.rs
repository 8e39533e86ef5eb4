use proptest::prelude::*;

use super::*;
use crate::property_tests::reproducible;

const COSINE: Schedule = Schedule {
    peak: 0.1,
    warmup_steps: 10,
    curve: Curve::Cosine {
        total_steps: 100,
        final_factor: 0.01,
    },
};

#[track_caller]
fn check(schedule: &Schedule, expected: &[(u64, f64)]) {
    for (step, rate) in expected {
        let found = schedule.at(*step);
        assert!(
            (found - rate).abs() <= rate * 1e-14,
            "step {step}: {found} instead of {rate}"
        );
    }
}

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
        assert_eq!(COSINE.at(step), rate, "step {step}");
    }
}

#[test]
fn without_warm_up_the_first_step_has_the_peak() {
    let schedule = Schedule {
        warmup_steps: 0,
        ..COSINE
    };
    assert_eq!(schedule.at(0), 0.1);
}

#[test]
fn a_warm_up_as_long_as_the_job_reaches_the_peak_at_its_last_step() {
    let schedule = Schedule {
        warmup_steps: 100,
        ..COSINE
    };
    assert_eq!(schedule.at(99), 0.1);
    assert_eq!(schedule.at(100), 0.1);
}

/// ```python
/// p = torch.nn.Parameter(torch.zeros(1)); o = torch.optim.SGD([p], lr=0.1)
/// s = torch.optim.lr_scheduler.MultiStepLR(o, milestones=[30, 60, 80], gamma=0.1)
/// for _ in range(100): print(o.param_groups[0]["lr"]); o.step(); s.step()
/// ```
#[test]
fn steps_are_pytorchs_multi_step_lr() {
    let schedule = Schedule {
        peak: 0.1,
        warmup_steps: 0,
        curve: Curve::Step {
            milestones: vec![30, 60, 80],
            gamma: 0.1,
        },
    };
    let expected = [
        (0, 0.1),
        (29, 0.1),
        (30, 0.010_000_000_000_000_002),
        (59, 0.010_000_000_000_000_002),
        (60, 0.001_000_000_000_000_000_2),
        (79, 0.001_000_000_000_000_000_2),
        (80, 0.000_100_000_000_000_000_03),
        (99, 0.000_100_000_000_000_000_03),
    ];
    for (step, rate) in expected {
        assert_eq!(schedule.at(step), rate, "step {step}");
    }
}

#[test]
fn a_warm_up_comes_before_the_first_milestone() {
    let schedule = Schedule {
        peak: 0.1,
        warmup_steps: 5,
        curve: Curve::Step {
            milestones: vec![30],
            gamma: 0.5,
        },
    };
    check(&schedule, &[(0, 0.02), (4, 0.1), (29, 0.1), (30, 0.05)]);
}

/// ```python
/// p = torch.nn.Parameter(torch.zeros(1)); o = torch.optim.SGD([p], lr=0.4)
/// s = torch.optim.lr_scheduler.OneCycleLR(o, max_lr=0.4, total_steps=total, cycle_momentum=False)
/// for i in range(total):
///     print(o.param_groups[0]["lr"]); o.step()
///     if i + 1 < total: s.step()
/// ```
#[test]
fn one_cycle_is_pytorchs_one_cycle_lr() {
    let schedule = |total_steps| Schedule {
        peak: 0.4,
        warmup_steps: 0,
        curve: Curve::OneCycle { total_steps },
    };
    let expected = [
        (0, 0.016_000_000_000_000_014),
        (1, 0.017_125_512_226_362_993),
        (14, 0.197_605_329_551_599_85),
        (28, 0.398_874_487_773_637_04),
        (29, 0.4),
        (30, 0.399_798_614_113_809_74),
        (64, 0.200_000_8),
        (98, 0.000_202_985_886_190_315_2),
        (99, 1.6e-06),
        (1_000, 1.6e-06),
    ];
    check(&schedule(100), &expected);
    let short = [
        (0, 0.016_000_000_000_000_014),
        (1, 0.392_222_650_933_983_5),
        (2, 0.367_617_750_507_884_26),
        (3, 0.269_073_534_592_218_06),
        (4, 0.143_095_510_295_862_82),
        (5, 0.039_718_716_757_306_24),
        (6, 1.6e-06),
    ];
    check(&schedule(7), &short);
    // Too short for a rise: PyTorch's rates begin within the fall.
    let shortest = [
        (0, 0.397_766_174_180_364_75),
        (1, 0.185_054_841_066_790_02),
        (2, 1.6e-06),
    ];
    check(&schedule(3), &shortest);
    assert!(schedule(1).at(0).is_finite() && schedule(0).at(0).is_finite());
}

#[test]
fn a_constant_rate_still_warms_up() {
    let schedule = Schedule {
        peak: 0.1,
        warmup_steps: 4,
        curve: Curve::Constant,
    };
    check(&schedule, &[(0, 0.025), (3, 0.1), (4, 0.1), (1_000, 0.1)]);
}

proptest! {
    #![proptest_config(reproducible())]

    #[test]
    fn rates_rise_to_the_peak_then_fall_to_the_final_factor(
        peak in 1e-9..1e3f64, warmup_steps in 0u64..200, more in 1u64..300, final_factor in 0.0..=1.0f64,
    ) {
        let total_steps = warmup_steps + more;
        let schedule = Schedule { peak, warmup_steps, curve: Curve::Cosine { total_steps, final_factor } };
        let rates: Vec<f64> = (0..=total_steps).map(|step| schedule.at(step)).collect();
        let (rising, falling) = rates.split_at(usize::try_from(warmup_steps).unwrap());
        prop_assert!(rising.is_sorted());
        prop_assert!(falling.is_sorted_by(|a, b| a >= b));
        prop_assert!(rates.iter().all(|rate| *rate > 0.0 || final_factor == 0.0));
        prop_assert!(rates.iter().all(|rate| (0.0..=peak * (1.0 + 1e-15)).contains(rate)));
        let last = schedule.at(total_steps);
        prop_assert!((last - peak * final_factor).abs() <= peak * 1e-15);
    }

    #[test]
    fn one_cycle_rises_once_then_falls(peak in 1e-9..1e3f64, total_steps in 1u64..500) {
        let schedule = Schedule { peak, warmup_steps: 0, curve: Curve::OneCycle { total_steps } };
        let rates: Vec<f64> = (0..total_steps).map(|step| schedule.at(step)).collect();
        let top = (0..rates.len()).max_by(|a, b| rates[*a].total_cmp(&rates[*b])).unwrap();
        prop_assert!(rates[..=top].is_sorted());
        prop_assert!(rates[top..].is_sorted_by(|a, b| a >= b));
        prop_assert!(rates.iter().all(|rate| *rate > 0.0 && *rate <= peak * (1.0 + 1e-15)));
    }
}
