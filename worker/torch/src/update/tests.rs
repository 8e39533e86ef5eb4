//! Numbers in this file come from PyTorch 2.11:
//!
//! ```python
//! def gradient(t):
//!     return torch.tensor([(i-2.5)*0.3*(1+t)*(-1)**t+0.01*i*i for i in range(7)], dtype=torch.float32)
//!
//! def run(make):
//!     p = torch.nn.Parameter(torch.tensor([0.5, -0.25, 0.125, 1.0, -2.0, 0.0625, 0.75]))
//!     o = make([p])
//!     for t in range(4):
//!         p.grad = gradient(t); o.step()
//!     return [float(f"{v:.9g}") for v in p]
//!
//! run(lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.01))
//! run(lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01))
//! run(lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01))
//! run(lambda p: torch.optim.AdamW(p, lr=0.01, betas=(0.9, 0.95), eps=1e-6, weight_decay=0.1))
//! ```

use super::*;

const PARAMETERS: [f32; 7] = [0.5, -0.25, 0.125, 1.0, -2.0, 0.0625, 0.75];

fn gradient(t: i32) -> Vec<f32> {
    let sign = if t % 2 == 0 { 1.0 } else { -1.0 };
    (0..7)
        .map(f64::from)
        .map(|i| ((i - 2.5) * 0.3 * f64::from(1 + t) * sign + 0.01 * i * i) as f32)
        .collect()
}

fn fill(buffer: &mut FlatBuffer, with: &[f32]) {
    buffer.with_f32(|values| values.copy_from_slice(with));
}

struct Memory {
    parameters: FlatBuffer,
    gradients: FlatBuffer,
    states: Vec<FlatBuffer>,
}

impl Memory {
    fn new(states: usize) -> Self {
        let zeros = || FlatBuffer::zeros(7, Kind::Float);
        let mut parameters = zeros();
        fill(&mut parameters, &PARAMETERS);
        Self {
            parameters,
            gradients: zeros(),
            states: (0..states).map(|_| zeros()).collect(),
        }
    }

    fn update(&self, runs: &[Range<usize>]) -> FusedUpdate {
        let states: Vec<&FlatBuffer> = self.states.iter().collect();
        FusedUpdate::new(&self.parameters, &self.gradients, &states, runs).unwrap()
    }

    #[track_caller]
    fn check(&self, expected: [f32; 7]) {
        let found = Vec::<f32>::try_from(self.parameters.tensor()).unwrap();
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (found - expected).abs() <= 2e-7 * expected.abs().max(0.1),
                "{found} instead of {expected}"
            );
        }
    }
}

fn sgd(momentum: f64, nesterov: bool, runs: &[Range<usize>], divisor: f64) -> Memory {
    let mut memory = Memory::new(usize::from(momentum > 0.0));
    let mut update = memory.update(runs);
    for t in 0..4 {
        let scaled: Vec<f32> = gradient(t).iter().map(|g| g * divisor as f32).collect();
        fill(&mut memory.gradients, &scaled);
        let step = SgdStep {
            learning_rate: 0.1,
            momentum,
            nesterov,
            weight_decay: 0.01,
            gradient_divisor: divisor,
        };
        update.sgd(step).unwrap();
    }
    memory
}

const MOMENTUM: [f32; 7] = [
    0.474_075_44,
    -0.269_620_57,
    0.083_448_49,
    0.913_929_64,
    -2.113_648_4,
    -0.142_537_18,
    0.447_926_94,
];

#[test]
#[expect(
    clippy::single_range_in_vec_init,
    reason = "one run over everything is what is meant"
)]
fn sgd_is_pytorchs() {
    let plain = [
        0.347_853_06,
        -0.343_085_47,
        0.078_494_75,
        0.990_09,
        -1.965_826,
        0.112_550_184,
        0.813_430_25,
    ];
    let nesterov = [
        0.324_180_28,
        -0.360_941_2,
        0.041_094_065,
        0.912_854_8,
        -2.067_678_7,
        -0.071_237_475,
        0.542_635,
    ];
    sgd(0.0, false, &[0..7], 1.0).check(plain);
    sgd(0.9, false, &[0..7], 1.0).check(MOMENTUM);
    sgd(0.9, true, &[0..7], 1.0).check(nesterov);
}

#[test]
fn runs_and_a_divisor_change_nothing_of_what_is_computed() {
    sgd(0.9, false, &[0..3, 3..7], 1.0).check(MOMENTUM);
    sgd(0.9, false, &[0..3, 3..7], 4.0).check(MOMENTUM);
}

#[test]
fn what_lies_between_runs_is_left_alone() {
    let memory = sgd(0.9, false, &[0..3, 5..7], 1.0);
    let mut expected = MOMENTUM;
    expected[3..5].copy_from_slice(&PARAMETERS[3..5]);
    memory.check(expected);
}

#[test]
#[expect(
    clippy::single_range_in_vec_init,
    reason = "one run over everything is what is meant"
)]
fn adamw_is_pytorchs() {
    for divisor in [1.0, 8.0] {
        let mut memory = Memory::new(2);
        let mut update = memory.update(&[0..7]);
        for t in 0..4 {
            let scaled: Vec<f32> = gradient(t).iter().map(|g| g * divisor as f32).collect();
            fill(&mut memory.gradients, &scaled);
            let step = AdamWStep {
                learning_rate: 0.01,
                betas: [0.9, 0.95],
                eps: 1e-6,
                weight_decay: 0.1,
                count: t as u64 + 1,
                gradient_divisor: divisor,
            };
            update.adamw(step).unwrap();
        }
        memory.check([
            0.505_449_2,
            -0.241_842_9,
            0.128_592_04,
            0.980_562_4,
            -2.004_185_4,
            0.050_376_13,
            0.735_002_04,
        ]);
    }
}

#[test]
#[expect(
    clippy::single_range_in_vec_init,
    reason = "one run over everything is what is meant"
)]
fn wrong_memory_is_an_error_and_no_crash() {
    let floats = |n| FlatBuffer::zeros(n, Kind::Float);
    let refused = |gradients: &FlatBuffer, states: &[&FlatBuffer], runs: &[Range<usize>]| {
        FusedUpdate::new(&floats(4), gradients, states, runs)
            .unwrap_err()
            .to_string()
    };
    assert!(refused(&floats(3), &[], &[0..3]).contains("FlatBuffer(3 x F32)"));
    let integers = FlatBuffer::zeros(4, Kind::Int64);
    assert!(refused(&floats(4), &[&integers], &[0..4]).contains("x I64)"));
    assert!(refused(&floats(4), &[], &[2..5]).contains("2..5 of 4 elements"));
    assert!(refused(&floats(4), &[], &[]).contains("0 runs"));

    let memory = Memory::new(1);
    let step = SgdStep {
        learning_rate: 0.1,
        momentum: 0.0,
        nesterov: false,
        weight_decay: 0.0,
        gradient_divisor: 1.0,
    };
    let error = memory.update(&[0..7]).sgd(step).unwrap_err().to_string();
    assert!(error.contains("0 values per parameter, not 1"), "{error}");
}

#[test]
#[should_panic(expected = "1 regions of flat buffers are lent")]
#[expect(
    clippy::single_range_in_vec_init,
    reason = "one run over everything is what is meant"
)]
fn an_update_keeps_off_while_a_region_is_lent() {
    let memory = Memory::new(0);
    let mut update = memory.update(&[0..7]);
    memory.gradients.region(0..2).lend();
    let step = SgdStep {
        learning_rate: 0.1,
        momentum: 0.0,
        nesterov: false,
        weight_decay: 0.0,
        gradient_divisor: 1.0,
    };
    let _ = update.sgd(step);
}
