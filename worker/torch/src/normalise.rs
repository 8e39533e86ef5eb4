//! BatchNorm in training together with what follows it: two passes over memory forward and two backward, instead of one or two for
//! each operation.
//!
//! For what most training on CPUs has, f32 images that lie channels last; each function returns `None` for all else, having done
//! nothing, and for a thread under [`Autocast`](crate::Autocast). Statistics and gradients are those of libtorch's own operations
//! up to the rounding of f32, with sums that are f32 only within small blocks. Their bits depend on the instruction set that libtorch
//! chose, not on the number of threads.
#![expect(unsafe_code, reason = "FFI: tensors cross as pointers")]

use tch::Tensor;

use crate::TorchError;
use crate::sys::{self, pointer};

const OPERATION: &str = "run a fused layer";

/// A layer of BatchNorm: f32 tensors with one value for each channel, and the numbers of `torch.nn.BatchNorm2d`.
#[derive(Clone, Copy, Debug)]
pub struct BatchNorm<'a> {
    /// What normalised values are multiplied by.
    pub weight: &'a Tensor,
    /// What is added to them then.
    pub bias: &'a Tensor,
    /// Moves towards the batch's mean.
    pub running_mean: &'a Tensor,
    /// Moves towards the batch's unbiased variance.
    pub running_var: &'a Tensor,
    /// By which share the running statistics move.
    pub momentum: f64,
    /// Added to the variance.
    pub epsilon: f64,
}

impl BatchNorm<'_> {
    /// The pointers are good while `self` is borrowed.
    fn raw(&self) -> sys::BatchNorm {
        sys::BatchNorm {
            weight: pointer(self.weight),
            bias: pointer(self.bias),
            running_mean: pointer(self.running_mean),
            running_var: pointer(self.running_var),
            momentum: self.momentum,
            epsilon: self.epsilon,
        }
    }
}

/// `relu(norm(x))` of `x` with shape `[n, channels, height, width]`.
///
/// # Errors
/// If libtorch fails.
pub fn norm_relu(x: &Tensor, norm: BatchNorm<'_>) -> Result<Option<Tensor>, TorchError> {
    let mut out = std::ptr::null_mut();
    // SAFETY: all tensors live through the call; a null residual stands for none.
    let status = unsafe {
        sys::convoy_norm_relu(pointer(x), norm.raw(), std::ptr::null_mut(), &raw mut out)
    };
    // SAFETY: `status` and `out` come from the call above.
    unsafe { sys::made(OPERATION, status, out) }
}

/// `relu(norm(x) + residual)`; both have the same shape.
///
/// # Errors
/// If libtorch fails.
pub fn norm_add_relu(
    x: &Tensor,
    norm: BatchNorm<'_>,
    residual: &Tensor,
) -> Result<Option<Tensor>, TorchError> {
    let mut out = std::ptr::null_mut();
    // SAFETY: all tensors live through the call.
    let status =
        unsafe { sys::convoy_norm_relu(pointer(x), norm.raw(), pointer(residual), &raw mut out) };
    // SAFETY: `status` and `out` come from the call above.
    unsafe { sys::made(OPERATION, status, out) }
}

/// `relu(max_pool2d(norm(x), 2))`, sides rounded down.
///
/// # Errors
/// If libtorch fails.
pub fn norm_pool_relu(x: &Tensor, norm: BatchNorm<'_>) -> Result<Option<Tensor>, TorchError> {
    let mut out = std::ptr::null_mut();
    // SAFETY: all tensors live through the call.
    let status = unsafe { sys::convoy_norm_pool_relu(pointer(x), norm.raw(), &raw mut out) };
    // SAFETY: `status` and `out` come from the call above.
    unsafe { sys::made(OPERATION, status, out) }
}

#[cfg(test)]
mod tests;
