//! Beside libtorch's own operations, in f32 and in double precision.

use tch::{Device, Kind};

use super::*;
use crate::Autocast;

const MOMENTUM: f64 = 0.1;
const EPSILON: f64 = 1e-5;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Tail {
    Relu,
    AddRelu,
    PoolRelu,
}

/// Values, gradients of x, weight, bias and residual, running statistics.
type Results = Vec<Tensor>;

struct Case {
    x: Tensor,
    residual: Tensor,
    weight: Tensor,
    bias: Tensor,
    /// What is added to the scores for the loss, of the shape of the values.
    direction: Option<Tensor>,
}

/// Even from -1 to 1, and different for each salt.
fn noise(shape: &[i64], salt: f64) -> Tensor {
    let count: i64 = shape.iter().product();
    let index = Tensor::arange(count, (Kind::Double, Device::Cpu)) + salt * 1_000.0;
    let values = (index * 12.9898).sin() * 43_758.547;
    ((&values - values.floor()) * 2.0 - 1.0).reshape(shape)
}

/// A copy whose channels lie side by side.
fn channels_last(values: &Tensor) -> Tensor {
    values
        .permute([0, 2, 3, 1])
        .contiguous()
        .permute([0, 3, 1, 2])
}

impl Case {
    fn new(shape: [i64; 4]) -> Self {
        Self {
            x: noise(&shape, 1.0) * 3.0 + 0.5,
            residual: noise(&shape, 2.0),
            weight: noise(&[shape[1]], 3.0) + 0.3,
            bias: noise(&[shape[1]], 4.0) * 0.3,
            direction: None,
        }
    }

    /// Leaves of this type; the two of four dimensions channels last.
    fn leaves(&self, kind: Kind) -> [Tensor; 4] {
        let leaf = |values: &Tensor| values.to_kind(kind).detach().set_requires_grad(true);
        let images = |values: &Tensor| leaf(&channels_last(values));
        [
            images(&self.x),
            leaf(&self.weight),
            leaf(&self.bias),
            images(&self.residual),
        ]
    }

    fn results(&self, tail: Tail, kind: Kind, fused: bool) -> Results {
        let [x, weight, bias, residual] = self.leaves(kind);
        let channels = self.weight.numel() as i64;
        let running_mean = noise(&[channels], 5.0).to_kind(kind);
        let running_var = (noise(&[channels], 6.0) + 2.0).to_kind(kind);
        let norm = BatchNorm {
            weight: &weight,
            bias: &bias,
            running_mean: &running_mean,
            running_var: &running_var,
            momentum: MOMENTUM,
            epsilon: EPSILON,
        };
        let out = if fused {
            run(&x, norm, &residual, tail).unwrap().unwrap()
        } else {
            plain(&x, norm, &residual, tail)
        };
        let direction = match &self.direction {
            None => noise(&out.size(), 7.0),
            Some(direction) => direction.shallow_clone(),
        };
        (&out * channels_last(&direction.to_kind(kind)))
            .sum(kind)
            .backward();
        let mut results = vec![out.detach(), x.grad(), weight.grad(), bias.grad()];
        if tail == Tail::AddRelu {
            results.push(residual.grad());
        }
        results.extend([running_mean, running_var]);
        results
    }
}

fn run(
    x: &Tensor,
    norm: BatchNorm<'_>,
    residual: &Tensor,
    tail: Tail,
) -> Result<Option<Tensor>, TorchError> {
    match tail {
        Tail::Relu => norm_relu(x, norm),
        Tail::AddRelu => norm_add_relu(x, norm, residual),
        Tail::PoolRelu => norm_pool_relu(x, norm),
    }
}

fn plain(x: &Tensor, norm: BatchNorm<'_>, residual: &Tensor, tail: Tail) -> Tensor {
    let y = x.batch_norm(
        Some(norm.weight),
        Some(norm.bias),
        Some(norm.running_mean),
        Some(norm.running_var),
        true,
        norm.momentum,
        norm.epsilon,
        false,
    );
    match tail {
        Tail::Relu => y.relu(),
        Tail::AddRelu => (y + residual).relu(),
        Tail::PoolRelu => y.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false).relu(),
    }
}

/// The largest difference, as a share of the largest value.
fn difference(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    let (found, expected) = (found.to_kind(Kind::Double), expected.to_kind(Kind::Double));
    let largest = expected.abs().max().double_value(&[]).max(1e-3);
    (found - expected).abs().max().double_value(&[]) / largest
}

const TAILS: [Tail; 3] = [Tail::Relu, Tail::AddRelu, Tail::PoolRelu];

/// Batches of one and of several; channels around the widths of registers; odd sides; blocks that are not full.
const SHAPES: [[i64; 4]; 12] = [
    [1, 1, 2, 2],
    [3, 1, 5, 4],
    [2, 3, 7, 9],
    [1, 15, 3, 2],
    [4, 16, 6, 6],
    [2, 17, 5, 5],
    [5, 31, 4, 7],
    [3, 32, 28, 28],
    [2, 33, 9, 8],
    [7, 64, 14, 14],
    [2, 70, 11, 3],
    [3, 512, 4, 4],
];

#[test]
fn values_gradients_and_running_statistics_are_those_of_double_precision() {
    for shape in SHAPES {
        for tail in TAILS {
            let case = Case::new(shape);
            let found = case.results(tail, Kind::Float, true);
            let exact = case.results(tail, Kind::Double, false);
            assert_eq!(found.len(), exact.len());
            for (index, (found, exact)) in found.iter().zip(&exact).enumerate() {
                let off = difference(found, exact);
                assert!(
                    off < 2e-5,
                    "{shape:?} {tail:?}: result {index} is off by {off}"
                );
            }
        }
    }
}

#[test]
fn statistics_are_at_least_as_precise_as_those_of_libtorch() {
    let mut case = Case::new([64, 32, 28, 28]);
    // A mean of many deviations costs single precision its digits.
    case.x = case.x * 0.01 + 3.0;
    for tail in TAILS {
        let exact = case.results(tail, Kind::Double, false);
        let [fused, libtorchs] = [true, false].map(|fused| case.results(tail, Kind::Float, fused));
        for index in [exact.len() - 2, exact.len() - 1] {
            let [ours, theirs] =
                [&fused, &libtorchs].map(|results| difference(&results[index], &exact[index]));
            assert!(
                ours <= theirs.max(1e-7),
                "{tail:?}, {index}: {ours} > {theirs}"
            );
        }
    }
}

/// A derivative of the unfused operations in double precision is right; here it is compared with what values do.
#[test]
fn gradients_say_how_values_change() {
    const STEP: f64 = 1e-6;
    for tail in TAILS {
        let case = Case::new([2, 3, 5, 4]);
        let gradient = &case.results(tail, Kind::Float, true)[1];
        for index in [[0, 0, 0, 0], [1, 2, 3, 1], [0, 1, 4, 3], [1, 0, 1, 2]] {
            let loss = |sign: f64| {
                let shifted = Case {
                    x: case.x.copy(),
                    ..Case::new([2, 3, 5, 4])
                };
                let mut place = shifted
                    .x
                    .get(index[0])
                    .get(index[1])
                    .get(index[2])
                    .get(index[3]);
                let _ = place.f_add_scalar_(sign * STEP).unwrap();
                let out = &shifted.results(tail, Kind::Double, false)[0];
                (out * noise(&out.size(), 7.0))
                    .sum(Kind::Double)
                    .double_value(&[])
            };
            let expected = (loss(1.0) - loss(-1.0)) / (2.0 * STEP);
            let found = gradient.double_value(&index);
            assert!(
                (found - expected).abs() < 1e-4,
                "{tail:?} at {index:?}: {found}, not {expected}"
            );
        }
    }
}

#[test]
fn the_first_of_equal_values_gets_the_gradient() {
    let mut case = Case::new([4, 17, 6, 6]);
    case.x = (case.x * 0.7).round();
    case.weight = case.weight.abs() + 0.5;
    let found = case.results(Tail::PoolRelu, Kind::Float, true);
    let expected = case.results(Tail::PoolRelu, Kind::Float, false);
    for (found, expected) in found.iter().zip(&expected) {
        assert!(difference(found, expected) < 2e-6);
    }
}

#[test]
fn a_value_that_is_no_number_stays_visible_wherever_it_comes_in() {
    for tail in TAILS {
        for value in [f64::NAN, f64::INFINITY] {
            let case = Case::new([2, 17, 5, 5]);
            let mut place = case.x.get(1).get(16).get(4).get(4);
            let _ = place.f_fill_(value).unwrap();
            let results = case.results(tail, Kind::Float, true);
            let bad = |tensor: &Tensor| {
                f64::try_from(tensor.isfinite().logical_not().sum(Kind::Float)).unwrap()
            };
            assert!(bad(&results[0]) > 0.0, "{tail:?}: values");
            assert!(bad(&results[2]) > 0.0, "{tail:?}: gradient of weights");
            assert!(bad(&results[1]) > 0.0, "{tail:?}: gradient of x");
        }
        let mut case = Case::new([2, 17, 6, 6]);
        let side = if tail == Tail::PoolRelu { 3 } else { 6 };
        case.direction = Some(noise(&[2, 17, side, side], 7.0) * f64::NAN);
        let results = case.results(tail, Kind::Float, true);
        let sum = results[3].sum(Kind::Float).double_value(&[]);
        assert!(sum.is_nan(), "{tail:?}: a gradient that is no number");
    }
}

#[test]
fn a_gradient_of_another_layout_is_taken() {
    for tail in TAILS {
        let case = Case::new([3, 5, 6, 4]);
        let [x, weight, bias, residual] = case.leaves(Kind::Float);
        let [mean, var] = [0.0, 1.0].map(|v| Tensor::full([5], v, (Kind::Float, Device::Cpu)));
        let norm = BatchNorm {
            weight: &weight,
            bias: &bias,
            running_mean: &mean,
            running_var: &var,
            momentum: MOMENTUM,
            epsilon: EPSILON,
        };
        let out = run(&x, norm, &residual, tail).unwrap().unwrap();
        let direction = noise(&out.size(), 7.0).to_kind(Kind::Float);
        (out.flatten(1, -1) * direction.flatten(1, -1))
            .sum(Kind::Float)
            .backward();
        let expected = case.results(tail, Kind::Float, true);
        assert_eq!(x.grad(), expected[1]);
    }
}

#[test]
fn other_layouts_types_and_autocast_are_left_to_libtorch() {
    let case = Case::new([2, 3, 6, 4]);
    let [x, weight, bias, residual] = case.leaves(Kind::Float);
    let running = Tensor::zeros([3], (Kind::Float, Device::Cpu));
    let norm = BatchNorm {
        weight: &weight,
        bias: &bias,
        running_mean: &running,
        running_var: &running,
        momentum: MOMENTUM,
        epsilon: EPSILON,
    };
    let row_major = x.contiguous();
    let every_other = x.slice(3, 0, 4, 2);
    for refused in [
        &row_major,
        &every_other,
        &x.to_kind(Kind::Double),
        &x.to_kind(Kind::BFloat16),
        &x.narrow(0, 0, 0),
        &x.get(0),
    ] {
        for tail in TAILS {
            assert!(run(refused, norm, &residual, tail).unwrap().is_none());
        }
    }
    assert!(norm_add_relu(&x, norm, &row_major).unwrap().is_none());
    assert!(norm_pool_relu(&x.narrow(2, 0, 1), norm).unwrap().is_none());
    {
        let _guard = Autocast::bfloat16().unwrap();
        assert!(norm_relu(&x, norm).unwrap().is_none());
    }
    assert_eq!(running, running.zeros_like(), "refusing changes nothing");
    assert!(norm_relu(&x, norm).unwrap().is_some());
}

#[test]
fn threads_change_no_bit() {
    let case = Case::new([9, 33, 13, 12]);
    for tail in TAILS {
        let [one, three] = [1, 3].map(|threads| {
            tch::set_num_threads(threads);
            case.results(tail, Kind::Float, true)
        });
        tch::set_num_threads(1);
        // The first four or five are ours; those of the loss are libtorch's, element by element.
        assert_eq!(one, three, "{tail:?}");
    }
}
