//! Dropout (Srivastava and others, 2014) with draws of its own: libtorch's generator is one for a whole process, and what it gives
//! depends on what was drawn before.

use std::cell::RefCell;

use convoy_common::ids::{ShardIndex, StepIndex};
use convoy_common::order::{SplitMix64, mix, spread};
use convoy_torch::FlatBuffer;
use tch::{Kind, TchError, Tensor};

use super::Pass;

/// Keeps the draws apart from whatever else is drawn from the job's seed; the value means nothing.
const DROPOUT: u64 = 0x6a09_e667_f3bc_c908;

/// The seed of a shard's draws in one step: the same on whichever worker computes it.
pub(crate) fn seed(job: u64, step: StepIndex, shard: ShardIndex) -> u64 {
    let keyed = mix(job.wrapping_add(DROPOUT));
    mix(keyed ^ spread(step.0)) ^ u64::from(shard.0)
}

/// Leaves out values at random.
pub(super) struct Dropout {
    rate: f64,
    /// Factors of the newest micro-batch: backward needs them, until the next forward.
    factors: RefCell<FlatBuffer>,
}

impl Dropout {
    /// Leaves out this share of the values, 0 or more and less than 1.
    pub(super) fn new(rate: f64) -> Self {
        Self {
            rate,
            factors: RefCell::new(FlatBuffer::zeros(0, Kind::Float)),
        }
    }

    /// In training, `features` of shape `[n, k]` with some of them 0 and the others scaled up, so that their mean stays; else as
    /// they are.
    pub(super) fn forward(&self, features: Tensor, pass: Pass) -> Result<Tensor, TchError> {
        match pass {
            Pass::Training { seed } if self.rate > 0.0 => {
                features.f_mul(&self.draw(&features, seed))
            }
            Pass::Training { .. } | Pass::Evaluation => Ok(features),
        }
    }

    fn draw(&self, features: &Tensor, seed: u64) -> Tensor {
        let count = features.numel();
        let mut memory = self.factors.borrow_mut();
        if memory.len() < count {
            // Micro-batches differ by a sample, and the largest need not come first.
            let values_per_sample = features.size().last().map_or(0, |values| *values as usize);
            *memory = FlatBuffer::zeros(count + values_per_sample, Kind::Float);
        }
        let kept = (1.0 / (1.0 - self.rate)) as f32;
        // Below it a draw of 32 bits leaves out.
        let bound = (self.rate * 4_294_967_296.0) as u64;
        let factor = |draw: u64| if draw < bound { 0.0 } else { kept };
        memory.with_f32(|factors| {
            let mut pairs = SplitMix64::new(seed);
            for pair in factors[..count].chunks_mut(2) {
                let both = pairs.draw();
                for (value, draw) in pair.iter_mut().zip([both & 0xffff_ffff, both >> 32]) {
                    *value = factor(draw);
                }
            }
        });
        let size = features.size();
        memory.view(0, &size, &crate::memory_format::row_major(&size))
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    fn features() -> Tensor {
        Tensor::ones([101, 64], (Kind::Float, Device::Cpu))
    }

    fn dropped(rate: f64, pass: Pass) -> Vec<f32> {
        let out = Dropout::new(rate).forward(features(), pass).unwrap();
        Vec::<f32>::try_from(out.flatten(0, -1)).unwrap()
    }

    #[test]
    fn share_is_left_out_and_the_rest_scaled_up() {
        let pass = Pass::Training { seed: 3 };
        for rate in [0.1, 0.5, 0.9] {
            let values = dropped(rate, pass);
            let kept = (1.0 / (1.0 - rate)) as f32;
            assert!(values.iter().all(|value| *value == 0.0 || *value == kept));
            let share =
                values.iter().filter(|value| **value == 0.0).count() as f64 / values.len() as f64;
            assert!((share - rate).abs() < 0.02, "{share} instead of {rate}");
        }
    }

    #[test]
    fn evaluation_and_a_rate_of_zero_leave_all_as_it_is() {
        assert_eq!(dropped(0.5, Pass::Evaluation), vec![1.0; 101 * 64]);
        assert_eq!(
            dropped(0.0, Pass::Training { seed: 3 }),
            vec![1.0; 101 * 64]
        );
    }

    #[test]
    fn draws_follow_from_job_step_and_shard() {
        let seeds = [(1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 1)]
            .map(|(job, step, shard)| seed(job, StepIndex(step), ShardIndex(shard)));
        let draws = seeds.map(|seed| dropped(0.5, Pass::Training { seed }));
        for (index, one) in draws.iter().enumerate() {
            assert_eq!(*one, dropped(0.5, Pass::Training { seed: seeds[index] }));
            for other in &draws[index + 1..] {
                let same = one.iter().zip(other).filter(|(a, b)| a == b).count();
                assert!(
                    same.abs_diff(one.len() / 2) < 300,
                    "{same} of {} are the same",
                    one.len()
                );
            }
        }
    }

    #[test]
    fn gradient_passes_where_values_did() {
        let leaf = features().set_requires_grad(true);
        let pass = Pass::Training { seed: 9 };
        let out = Dropout::new(0.3)
            .forward(leaf.shallow_clone(), pass)
            .unwrap();
        out.sum(Kind::Float).backward();
        assert_eq!(leaf.grad(), out.detach());
    }
}
