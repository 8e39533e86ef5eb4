//! The moving average of the weights, which evaluation and exported weights use.

use convoy_torch::FlatBuffer;
use tch::{Kind, TchError};

/// An exponential moving average of parameters and buffers (Polyak and Juditsky, 1992, in the form of TensorFlow's
/// `ExponentialMovingAverage`): after each applied update `average += (1 - d) * (value - average)`, where `d` is the smaller of
/// the decay and `(1 + n) / (10 + n)` with `n` the updates before it, so that the initial weights are soon forgotten.
pub(crate) struct Average {
    decay: f64,
    pub(crate) parameters: FlatBuffer,
    pub(crate) buffers: FlatBuffer,
}

impl Average {
    /// Starts at the present values.
    pub(crate) fn new(
        decay: f64,
        parameters: &FlatBuffer,
        buffers: &FlatBuffer,
    ) -> Result<Self, TchError> {
        let copy = |of: &FlatBuffer| {
            let copy = FlatBuffer::zeros(of.len(), Kind::Float);
            copy.tensor().shallow_clone().f_copy_(of.tensor())?;
            Ok::<_, TchError>(copy)
        };
        Ok(Self {
            decay,
            parameters: copy(parameters)?,
            buffers: copy(buffers)?,
        })
    }

    /// Takes the values after an update into the average; `updates` were applied before it.
    pub(crate) fn add(
        &mut self,
        updates: u64,
        parameters: &FlatBuffer,
        buffers: &FlatBuffer,
    ) -> Result<(), TchError> {
        let n = updates as f64;
        let kept = self.decay.min((1.0 + n) / (10.0 + n));
        for (average, values) in [(&self.parameters, parameters), (&self.buffers, buffers)] {
            let _ = average
                .tensor()
                .shallow_clone()
                .f_lerp_(values.tensor(), 1.0 - kept)?;
        }
        Ok(())
    }

    /// Puts the average where the network reads its values, and the values here; the same again undoes it.
    pub(crate) fn exchange(&mut self, parameters: &mut FlatBuffer, buffers: &mut FlatBuffer) {
        swap(&mut self.parameters, parameters);
        swap(&mut self.buffers, buffers);
    }
}

/// In place, so that layers keep their views and nothing is allocated.
fn swap(one: &mut FlatBuffer, other: &mut FlatBuffer) {
    one.with_f32(|one| other.with_f32(|other| one.swap_with_slice(other)));
}
