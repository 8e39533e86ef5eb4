//! Sums beside their definition, written out in Rust.

use std::process::Command;

use tch::{Device, Kind};

use super::*;

const LIMIT: f32 = 1_000_000.0;
/// Whole registers, what a register does not hold, and more than one thread's part.
const LENGTHS: [usize; 4] = [1, 16, 1_003, 70_001];

/// Of all sizes and signs; halves, which round to even, and what is clamped.
fn values(count: usize, salt: u32) -> Vec<f32> {
    let value = |index: u32| {
        let mixed = (index ^ salt).wrapping_mul(2_654_435_761).rotate_left(13);
        match mixed % 5 {
            0 => (mixed >> 8) as f32 / 7.0 - 1e6,
            1 => ((mixed >> 20) as f32) / 16.0 - 100.0,
            2 => f32::from_bits((mixed >> 9) | 0x0080_0000),
            3 => -((mixed >> 4) as f32),
            _ => ((mixed >> 25) as f32) * 0.001,
        }
    };
    (0..count as u32).map(value).collect()
}

fn integer(value: f32, exponent: i32) -> i32 {
    let scaled = f64::from(value) * 2f64.powi(exponent);
    scaled
        .clamp(f64::from(-LIMIT), f64::from(LIMIT))
        .round_ties_even() as i32
}

struct Case {
    parameter: Tensor,
    memory: FlatBuffer,
    sums: FixedSums,
}

impl Case {
    fn new(count: usize) -> Self {
        let count = i64::try_from(count).unwrap();
        let options = (Kind::Float, Device::Cpu);
        let parameter = Tensor::zeros([count], options).set_requires_grad(true);
        let memory = FlatBuffer::zeros(count as usize, Kind::Float);
        let place = memory.view(0, &[count], &[1]);
        let sums = FixedSums::attach(&[parameter.shallow_clone()], &[place], &memory).unwrap();
        Self {
            parameter,
            memory,
            sums,
        }
    }

    /// A backward whose gradient is `values`.
    fn backward(&self, values: &[f32]) {
        (&self.parameter * Tensor::from_slice(values))
            .sum(Kind::Float)
            .backward();
    }

    fn integers(&mut self) -> Vec<i32> {
        let bits = |values: &mut [f32]| values.iter().map(|v| v.to_bits().cast_signed()).collect();
        self.memory.with_f32(bits)
    }

    fn magnitude(&self) -> i32 {
        let mut found = [0];
        self.sums.magnitudes(&mut found);
        found[0]
    }
}

#[test]
fn sums_magnitudes_and_gradients_are_those_of_the_definition() {
    for (count, exponent) in LENGTHS.into_iter().zip([4, -3, 0, 20]) {
        let mut case = Case::new(count);
        for round in 0..2 {
            let gradients = [values(count, round), values(count, 9)];
            case.sums.begin(&[exponent], LIMIT);
            gradients
                .iter()
                .for_each(|gradient| case.backward(gradient));
            let expected: Vec<i32> = (0..count)
                .map(|i| gradients.iter().map(|g| integer(g[i], exponent)).sum())
                .collect();
            assert_eq!(
                case.integers(),
                expected,
                "{count} values times 2^{exponent}"
            );
            let largest = gradients
                .iter()
                .flatten()
                .fold(0.0, |a: f32, b| a.max(b.abs()));
            assert_eq!(case.magnitude(), largest.to_bits().cast_signed());
            case.sums.to_floats().unwrap();
            let floats: Vec<f32> = expected
                .iter()
                .map(|sum| *sum as f32 * 2f32.powi(-exponent))
                .collect();
            case.memory.with_f32(|found| assert_eq!(found, floats));
        }
        assert!(!case.parameter.grad().defined(), "autograd keeps nothing");
    }
}

/// libtorch takes one that it is told to without asking the processor.
fn instruction_sets() -> Vec<&'static str> {
    let mut sets = vec!["default"];
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            sets.push("avx2");
        }
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
        {
            sets.push("avx512");
        }
    }
    sets
}

/// Each in a process of its own, since libtorch chooses once.
#[test]
fn every_instruction_set_makes_the_same_sums() {
    for set in instruction_sets() {
        let test = "fixed_point::tests::sums_magnitudes_and_gradients_are_those_of_the_definition";
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test])
            .env("ATEN_CPU_CAPABILITY", set)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{set}: {said}"
        );
    }
}

#[test]
fn threads_change_no_bit() {
    let count = 200_003;
    let gradient = values(count, 1);
    let [one, three] = [1, 3].map(|threads| {
        tch::set_num_threads(threads);
        let mut case = Case::new(count);
        case.sums.begin(&[7], LIMIT);
        case.backward(&gradient);
        (case.integers(), case.magnitude())
    });
    tch::set_num_threads(1);
    assert_eq!(one, three);
}

#[test]
fn what_is_not_finite_shows_in_the_magnitude() {
    let infinite = f32::INFINITY.to_bits().cast_signed();
    for (position, value) in [(0, f32::NAN), (17, f32::NEG_INFINITY), (20, f32::NAN)] {
        let mut case = Case::new(21);
        case.sums.begin(&[0], LIMIT);
        let mut gradient = values(21, 3);
        gradient[position] = value;
        case.backward(&gradient);
        case.backward(&values(21, 4));
        assert!(case.magnitude() >= infinite, "{value} at {position}");
    }
}

#[test]
fn parameter_without_gradient_has_sums_of_zero() {
    let mut case = Case::new(40);
    case.sums.begin(&[0], LIMIT);
    case.backward(&[5.0; 40]);
    case.sums.begin(&[0], LIMIT);
    case.sums.complete();
    assert_eq!((case.integers(), case.magnitude()), (vec![0; 40], 0));
}

#[test]
fn gradient_lands_in_the_order_of_its_place() {
    let options = (Kind::Float, Device::Cpu);
    let weight = Tensor::zeros([2, 3, 2, 1], options).set_requires_grad(true);
    let mut memory = FlatBuffer::zeros(12, Kind::Float);
    let channels_last = memory.view(0, &[2, 3, 2, 1], &[6, 1, 3, 3]);
    let parameters = [weight.shallow_clone()];
    let mut sums = FixedSums::attach(&parameters, &[channels_last], &memory).unwrap();
    sums.begin(&[0], LIMIT);
    let gradient = Tensor::arange(12, options).view([2, 3, 2, 1]);
    (&weight * &gradient).sum(Kind::Float).backward();
    sums.to_floats().unwrap();
    memory.with_f32(|found| {
        assert_eq!(found, [0., 2., 4., 1., 3., 5., 6., 8., 10., 7., 9., 11.]);
    });
}

#[test]
fn what_does_not_fit_is_refused() {
    let memory = FlatBuffer::zeros(4, Kind::Float);
    let options = (Kind::Float, Device::Cpu);
    let parameter = || Tensor::zeros([2], options).set_requires_grad(true);
    let refused = |parameters: &[Tensor], places: &[Tensor]| {
        let error = FixedSums::attach(parameters, places, &memory).unwrap_err();
        error.to_string()
    };
    let error = refused(&[parameter()], &[memory.view(0, &[3], &[1])]);
    assert!(error.contains("a parameter is [2] Float"), "{error}");
    assert!(refused(&[parameter()], &[]).contains("1 parameters, 0 places"));
    let constant = Tensor::zeros([2], options);
    let error = refused(
        &[parameter(), constant],
        &[memory.view(0, &[2], &[1]), memory.view(2, &[2], &[1])],
    );
    assert!(error.contains("prepare sums of gradients"), "{error}");
}

#[test]
fn dropped_sums_leave_gradients_to_autograd() {
    let case = Case::new(3);
    let parameter = case.parameter.shallow_clone();
    drop(case);
    (&parameter * 2.0).sum(Kind::Float).backward();
    assert_eq!(Vec::<f32>::try_from(parameter.grad()).unwrap(), [2.0; 3]);
}
