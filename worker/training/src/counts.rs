//! What members count in a step or an evaluation.

use convoy_data::Batch;
use tch::{TchError, Tensor};

/// See [`Counts::to_control`].
pub(crate) const CONTROL_ELEMENTS: usize = 5;

/// Losses are summed in fixed point, so that the sum is the same in any order: 2^-20 is below what a display shows, and
/// 2^43 samples with a loss of 1 fit.
const LOSS_ONE: f64 = 1_048_576.0;
/// A larger loss of one micro-batch is clamped, to keep the sum of all within i64.
const LOSS_LIMIT: f64 = 1e9;

/// What a member counts, and after the reduction what all did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) samples: u64,
    pub(crate) hash_sum: u64,
    pub(crate) correct: u64,
    loss_fixed: i64,
    /// Micro-batches that left something that is not finite: their loss or a buffer.
    pub(crate) not_finite: u64,
}

impl Counts {
    /// Adds a micro-batch with so many right answers and this summed loss.
    pub(crate) fn add(
        &mut self,
        batch: &Batch,
        correct: u64,
        loss: &Tensor,
    ) -> Result<(), TchError> {
        self.samples += batch.len() as u64;
        self.correct += correct;
        self.add_loss(loss.f_double_value(&[])?);
        Ok(())
    }

    fn add_loss(&mut self, loss_sum: f64) {
        if loss_sum.is_finite() {
            self.loss_fixed += (loss_sum.clamp(-LOSS_LIMIT, LOSS_LIMIT) * LOSS_ONE).round() as i64;
        } else {
            self.not_finite += 1;
        }
    }

    pub(crate) fn mean_loss(&self) -> f64 {
        if self.not_finite > 0 {
            f64::NAN
        } else {
            self.loss_fixed as f64 / LOSS_ONE / self.samples.max(1) as f64
        }
    }

    /// As they are reduced: by addition.
    pub(crate) fn to_control(self) -> [i64; CONTROL_ELEMENTS] {
        let bits = u64::cast_signed;
        [
            bits(self.samples),
            bits(self.hash_sum),
            bits(self.correct),
            self.loss_fixed,
            bits(self.not_finite),
        ]
    }

    pub(crate) fn from_control(values: &[i64]) -> Self {
        let bits = |index: usize| values[index].cast_unsigned();
        Self {
            samples: bits(0),
            hash_sum: bits(1),
            correct: bits(2),
            loss_fixed: values[3],
            not_finite: bits(4),
        }
    }
}
