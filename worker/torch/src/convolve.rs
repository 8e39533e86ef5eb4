//! Convolutions of 3x3 by Winograd's algorithm: 4 multiplications a value where the plain sum has 9, so that a core can do about
//! twice as many a second.
//!
//! For f32 images that lie channels last, on processors with AVX-512, of enough pixels and channels; `None` for all else, having
//! done nothing, and for a thread under [`Autocast`](crate::Autocast). Values and gradients are those of the plain sums up to the
//! rounding of f32. Their bits do not depend on the number of threads.
#![expect(unsafe_code, reason = "FFI: tensors cross as pointers")]

use tch::Tensor;

use crate::{TorchError, sys};

/// The convolution of `images` with shape `[n, inputs, height, width]` by `weight` with `[outputs, inputs, 3, 3]`: stride 1, one
/// pixel of padding.
///
/// # Errors
/// If libtorch fails.
pub fn convolve_3x3(images: &Tensor, weight: &Tensor) -> Result<Option<Tensor>, TorchError> {
    let mut out = std::ptr::null_mut();
    // SAFETY: both tensors live through the call, which writes a handle of ours or null to `out`.
    let status = unsafe {
        sys::convoy_convolve_3x3(sys::pointer(images), sys::pointer(weight), &raw mut out)
    };
    // SAFETY: `status` and `out` come from the call above.
    unsafe { sys::made("convolve", status, out) }
}

#[cfg(test)]
mod tests;
