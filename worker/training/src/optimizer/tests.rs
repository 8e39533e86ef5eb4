//! Numbers in this file come from PyTorch 2.11, for a weight of two dimensions and a bias:
//!
//! ```python
//! W0 = [0.5, -0.25, 0.125, 1.0, -2.0, 0.0625]; B0 = [0.75, -0.5, 0.25]
//! def grads(t):
//!     s = (1 + t) * (-1) ** t
//!     return (torch.tensor([(i-2.5)*0.3*s+0.01*i*i for i in range(6)]), torch.tensor([(i-0.8)*0.2*s for i in range(3)]))
//! def run(make, clip=None):
//!     w = torch.nn.Parameter(torch.tensor(W0).reshape(2, 3)); b = torch.nn.Parameter(torch.tensor(B0)); o = make(w, b)
//!     for t in range(4):
//!         gw, b.grad = grads(t); w.grad = gw.reshape(2, 3)
//!         if clip: torch.nn.utils.clip_grad_norm_([w, b], clip)
//!         o.step()
//!     return [float(f"{v:.9g}") for v in torch.cat([w.detach().flatten(), b.detach()])]
//! def groups(w, b, d): return [{"params": [w], "weight_decay": d}, {"params": [b], "weight_decay": 0.0}]
//! run(lambda w, b: torch.optim.SGD([w, b], lr=0.1, momentum=0.9, weight_decay=0.1))
//! run(lambda w, b: torch.optim.SGD(groups(w, b, 0.1), lr=0.1, momentum=0.9))
//! run(lambda w, b: torch.optim.SGD([w, b], lr=0.1, momentum=0.9, weight_decay=0.1), 1.0)
//! run(lambda w, b: torch.optim.AdamW(groups(w, b, 0.1), lr=0.01), 1.0)
//! def lars(clip=None, lr=0.5, m=0.9, beta=0.1, eta=0.02):
//!     p = [torch.tensor(W0).double(), torch.tensor(B0).double()]; v = [torch.zeros_like(x) for x in p]
//!     for t in range(4):
//!         g = [x.double() for x in grads(t)]
//!         if clip: n = torch.cat(g).norm(); g = [x * min(1.0, clip / (n + 1e-6)) for x in g]
//!         for i, decay in ((0, beta), (1, 0.0)):
//!             rate = lr * eta * p[i].norm() / (g[i].norm() + decay * p[i].norm()) if i == 0 else lr
//!             v[i] = m * v[i] + rate * (g[i] + decay * p[i]); p[i] -= v[i]
//!     return [float(f"{x:.9g}") for x in torch.cat(p)]
//! ```

use convoy_common::schedule::Curve;

use super::*;

const WEIGHT: [f32; 6] = [0.5, -0.25, 0.125, 1.0, -2.0, 0.0625];
const BIAS: [f32; 3] = [0.75, -0.5, 0.25];
/// Where the bias lies; what is between is padding.
const BIAS_OFFSET: usize = 16;
const ELEMENTS: usize = 32;

fn fill(buffer: &mut FlatBuffer, weight: impl Iterator<Item = f32>, bias: [f32; 3]) {
    buffer.with_f32(|values| {
        values.iter_mut().zip(weight).for_each(|(v, w)| *v = w);
        values[BIAS_OFFSET..BIAS_OFFSET + 3].copy_from_slice(&bias);
    });
}

fn gradients(buffer: &mut FlatBuffer, t: u64) {
    let s = (1.0 + t as f64) * if t.is_multiple_of(2) { 1.0 } else { -1.0 };
    let weight = (0..6).map(|i| ((f64::from(i) - 2.5) * 0.3 * s + f64::from(i * i) * 0.01) as f32);
    fill(
        buffer,
        weight,
        [0.0, 1.0, 2.0].map(|i| ((i - 0.8) * 0.2 * s) as f32),
    );
}

/// Four updates from where the script starts: the weight, then the bias.
fn run(spec: OptimizerSpec) -> Vec<f32> {
    let mut parameters = FlatBuffer::zeros(ELEMENTS, Kind::Float);
    let mut gradient = FlatBuffer::zeros(ELEMENTS, Kind::Float);
    fill(&mut parameters, WEIGHT.into_iter(), BIAS);
    let segments = [(0..6, false), (BIAS_OFFSET..BIAS_OFFSET + 3, true)]
        .map(|(range, norm_or_bias)| Segment {
            range,
            norm_or_bias,
        })
        .to_vec();
    let schedule = Schedule {
        peak: spec.learning_rate,
        warmup_steps: 0,
        curve: Curve::Constant,
    };
    let mut optimizer = Optimizer::new(spec, schedule, &parameters, &gradient, segments).unwrap();
    for t in 0..4 {
        gradients(&mut gradient, t);
        // Steps that were skipped count for the schedule, not for the optimizer.
        let time = UpdateTime {
            step: t + 7,
            updates: t,
        };
        optimizer
            .update(time, &mut parameters, &mut gradient)
            .unwrap();
    }
    let values = Vec::<f32>::try_from(parameters.tensor()).unwrap();
    let padding = values[6..BIAS_OFFSET]
        .iter()
        .chain(&values[BIAS_OFFSET + 3..]);
    assert!(padding.clone().all(|v| v.to_bits() << 1 == 0), "{values:?}");
    [&values[..6], &values[BIAS_OFFSET..BIAS_OFFSET + 3]].concat()
}

#[track_caller]
fn check(spec: OptimizerSpec, expected: [f64; 9]) {
    for (found, expected) in run(spec).into_iter().map(f64::from).zip(expected) {
        assert!(
            (found - expected).abs() <= 3e-7 * expected.abs().max(0.2),
            "{found} instead of {expected}"
        );
    }
}

fn sgd() -> OptimizerSpec {
    OptimizerSpec {
        momentum: 0.9,
        weight_decay: 0.1,
        ..OptimizerSpec::new(OptimizerName::Sgd, 0.1)
    }
}

fn lars() -> OptimizerSpec {
    OptimizerSpec {
        name: OptimizerName::Lars,
        learning_rate: 0.5,
        decay_norm_and_bias: false,
        trust_coefficient: Some(0.02),
        ..sgd()
    }
}

#[test]
fn everything_decays_unless_told_otherwise() {
    check(
        sgd(),
        [
            0.431_073_308,
            -0.251_254_827,
            0.073_341_34,
            0.835_557_938,
            -1.949_732_54,
            -0.141_483_977,
            0.677_965_879,
            -0.454_143_435,
            0.235_519_916,
        ],
    );
    check(
        OptimizerSpec {
            decay_norm_and_bias: false,
            ..sgd()
        },
        [
            0.431_073_308,
            -0.251_254_827,
            0.073_341_34,
            0.835_557_938,
            -1.949_732_54,
            -0.141_483_977,
            0.745_503_962,
            -0.498_876_005,
            0.256_743_997,
        ],
    );
}

#[test]
fn gradients_are_clipped_by_their_norm_over_all_parameters() {
    check(
        OptimizerSpec {
            clip_norm: Some(1.0),
            ..sgd()
        },
        [
            0.497_426_51,
            -0.206_534_356,
            0.106_246_211,
            0.866_464_257,
            -1.911_007_64,
            -0.085_123_404,
            0.692_121_148,
            -0.457_682_282,
            0.214_286_879,
        ],
    );
}

#[test]
fn a_limit_that_is_not_reached_changes_no_bit() {
    let clipped = OptimizerSpec {
        clip_norm: Some(1e6),
        ..sgd()
    };
    assert_eq!(run(clipped), run(sgd()));
}

#[test]
fn adamw_decays_groups_and_clips_as_pytorch_does() {
    check(
        OptimizerSpec {
            weight_decay: 0.1,
            decay_norm_and_bias: false,
            clip_norm: Some(1.0),
            ..OptimizerSpec::new(OptimizerName::AdamW, 0.01)
        },
        [
            0.507_530_153,
            -0.239_859_074,
            0.129_385_963,
            0.977_193_177,
            -2.007_369_04,
            0.047_233_347,
            0.759_556_234,
            -0.509_556_234,
            0.240_443_781,
        ],
    );
}

#[test]
fn lars_follows_the_paper() {
    check(
        lars(),
        [
            0.503_164_45,
            -0.244_236_956,
            0.121_983_203,
            0.982_192_113,
            -2.001_039_92,
            0.033_036_336,
            0.727_520_001,
            -0.494_38,
            0.283_719_957,
        ],
    );
    check(
        OptimizerSpec {
            clip_norm: Some(1.0),
            ..lars()
        },
        [
            0.499_427_302,
            -0.241_631_528,
            0.121_346_199,
            0.974_143_521,
            -1.982_758_27,
            0.033_943_335,
            0.797_579_592,
            -0.511_894_898,
            0.178_630_602,
        ],
    );
}

#[test]
fn clipping_divides_by_what_pytorch_multiplies_with() {
    assert!((clip_divisor(0.5, 1.0) - 1.0).abs() < f64::EPSILON);
    assert!((clip_divisor(4.0, 2.0) - 2.000_000_5).abs() < 1e-12);
}
