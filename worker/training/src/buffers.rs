//! BatchNorm's running statistics.
//!
//! Every shard of a step starts from the same values; what the step leaves is the mean of what the shards made of them, weighted by
//! samples. The mean is a sum of integers, so that it is the same for any members.

use convoy_common::spec::MemoryFormat;
use convoy_torch::FlatBuffer;
use tch::{Kind, TchError};

use crate::memory_format::strides;
use crate::model::NamedTensor;
use crate::scales::power_of_two;
use crate::state::move_into;
use crate::trainer::TrainingError;

/// Bits behind the point where a value was below 1: far below what BatchNorm adds to a variance (1e-5), so that no small change is
/// lost, step after step. Where it was larger, its leading bit is as many above the last.
const FRACTION_BITS: i32 = 40;

/// Half of an i64's range, so that rounded shares can't add up to more than it holds. What would be more, a value that grew by a factor
/// of four million in one step, is clamped.
const LARGEST_SUM: f64 = (1u64 << 62) as f64;

/// The buffers of a model.
pub(crate) struct FlatBuffers {
    /// What the layers read and write.
    pub(crate) live: FlatBuffer,
    /// As they were when the step began.
    start: FlatBuffer,
    /// The weighted sum so far, each value in units of its own; reduced over all members.
    pub(crate) sum: FlatBuffer,
}

impl FlatBuffers {
    pub(crate) fn adopt(buffers: &mut [NamedTensor]) -> Result<Self, TrainingError> {
        let elements: usize = buffers.iter().map(|b| b.tensor.numel()).sum();
        let live = FlatBuffer::zeros(elements, Kind::Float);
        let mut offset = 0;
        for buffer in buffers {
            let shape = buffer.tensor.size();
            let strides = strides(MemoryFormat::Contiguous, &shape);
            move_into(&mut buffer.tensor, &live.view(offset, &shape, &strides))?;
            offset += buffer.tensor.numel();
        }
        Ok(Self {
            live,
            start: FlatBuffer::zeros(elements, Kind::Float),
            sum: FlatBuffer::zeros(elements, Kind::Int64),
        })
    }

    /// The present values are those that shards start from.
    pub(crate) fn begin_step(&mut self) -> Result<(), TchError> {
        copy(&self.live, &self.start)?;
        self.sum.clear();
        Ok(())
    }

    /// The step is computed anew, from where it began.
    pub(crate) fn begin_again(&mut self) -> Result<(), TchError> {
        self.sum.clear();
        self.restore()
    }

    /// Puts back the values from before the step.
    pub(crate) fn restore(&self) -> Result<(), TchError> {
        copy(&self.start, &self.live)
    }

    /// Adds what a shard with this share of the step's samples made of them. Whether all of it is finite.
    pub(crate) fn accumulate(&mut self, share: f64) -> bool {
        let Self { live, start, sum } = self;
        let most = share * LARGEST_SUM;
        let mut finite = true;
        live.with_f32(|live| {
            start.with_f32(|start| {
                sum.with_i64(|sum| {
                    for ((sum, live), start) in sum.iter_mut().zip(live).zip(start) {
                        finite &= live.is_finite();
                        let units = f64::from(*live) * share * units_of_one(*start);
                        *sum += units.clamp(-most, most).round_ties_even() as i64;
                    }
                });
            });
        });
        finite
    }

    /// Makes the reduced sum the new values.
    pub(crate) fn adopt_sum(&mut self) {
        let Self { live, start, sum } = self;
        live.with_f32(|live| {
            start.with_f32(|start| {
                sum.with_i64(|sum| {
                    for ((live, sum), start) in live.iter_mut().zip(sum).zip(start) {
                        *live = (*sum as f64 / units_of_one(*start)) as f32;
                    }
                });
            });
        });
    }
}

/// How many units 1.0 is, for a value that was `start`: known to all members, who hold the same.
fn units_of_one(start: f32) -> f64 {
    let bits = f64::from(start).abs().to_bits();
    let exponent = (bits >> 52) as i32 - 1023;
    power_of_two(FRACTION_BITS - exponent.max(0))
}

fn copy(from: &FlatBuffer, to: &FlatBuffer) -> Result<(), TchError> {
    to.tensor().shallow_clone().f_copy_(from.tensor())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffers(start: &[f32]) -> FlatBuffers {
        let tensor = tch::Tensor::from_slice(start);
        let name = "running".to_owned();
        let mut buffers = FlatBuffers::adopt(&mut [NamedTensor { name, tensor }]).unwrap();
        buffers.begin_step().unwrap();
        buffers
    }

    /// What shards with these shares and values leave.
    fn mean(start: &[f32], shards: &[(f64, Vec<f32>)]) -> Vec<f32> {
        let mut buffers = buffers(start);
        for (share, values) in shards {
            buffers.restore().unwrap();
            buffers.live.with_f32(|live| live.copy_from_slice(values));
            assert!(buffers.accumulate(*share));
        }
        buffers.adopt_sum();
        buffers.live.with_f32(|live| live.to_vec())
    }

    #[test]
    fn mean_is_weighted_by_samples_and_the_same_in_any_order() {
        let start = [0.0, 1.0, -700.0, 3e7];
        let shards = [
            (0.25, vec![0.5, 1.25, -704.0, 3.5e7]),
            (0.25, vec![-0.1, 1.0, -700.0, 3e7]),
            (0.5, vec![1e-3, 2.0, -650.3, 2e7]),
        ];
        let expected: Vec<f32> = (0..4)
            .map(|i| {
                shards
                    .iter()
                    .map(|(share, values)| share * f64::from(values[i]))
                    .sum::<f64>() as f32
            })
            .collect();
        let found = mean(&start, &shards);
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                (found - expected).abs() <= 1e-6 * expected.abs().max(1e-3),
                "{found} {expected}"
            );
        }
        let [a, b, c] = shards;
        assert_eq!(mean(&start, &[c, a, b]), found);
    }

    #[test]
    fn small_variance_goes_on_moving() {
        // 256 steps towards a variance of 1e-8, each by a tenth of what is left.
        let mut value = 1e-7f32;
        for _ in 0..256 {
            let moved = 0.9 * value + 0.1 * 1e-8;
            value = mean(&[value], &[(0.5, vec![moved]), (0.5, vec![moved])])[0];
        }
        assert!((value - 1e-8).abs() < 1e-10, "{value}");
    }

    #[test]
    fn leap_is_clamped_and_made_in_a_few_steps() {
        let mut value = 0.0;
        for _ in 0..4 {
            value = mean(&[value], &[(0.5, vec![1e20]), (0.5, vec![1e20])])[0];
        }
        assert!((value / 1e20 - 1.0).abs() < 1e-6, "{value}");
    }

    #[test]
    fn what_is_not_finite_is_told() {
        for value in [f32::NAN, f32::INFINITY] {
            let mut buffers = buffers(&[0.0, 1.0]);
            buffers.live.with_f32(|live| live[1] = value);
            assert!(!buffers.accumulate(0.5));
        }
    }
}
