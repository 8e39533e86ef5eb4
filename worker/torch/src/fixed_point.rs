//! Gradients as sums of integers, which are the same in any order.
//!
//! Each gradient is taken where backward has made it, before it becomes a `.grad`: one pass over memory turns it into integers, adds
//! them to the sums of the gradients before it, and finds its largest magnitude. The bits are the same on every instruction set and
//! for any number of threads.
#![expect(unsafe_code, reason = "FFI: tensors and lists cross as pointers")]

use std::fmt;

use tch::Tensor;
use torch_sys::C_tensor;

use crate::flat::Lent;
use crate::gradient::kind_of;
use crate::sys::{self, pointer};
use crate::{FlatBuffer, TorchError};

const PREPARE: &str = "prepare sums of gradients";

/// Takes the gradients of parameters and adds them up in flat memory, as integers until [`FixedSums::to_floats`]. Dropping it
/// gives gradients back to autograd.
pub struct FixedSums {
    raw: *mut sys::FixedSums,
    parameters: usize,
    /// Regions of the memory that are lent.
    lent: Lent,
}

// SAFETY: the pointer is this value's own. Backward uses what it leads to on the thread that runs it, and every other use takes the
// value exclusively or only reads; who owns it runs no backward meanwhile.
unsafe impl Send for FixedSums {}

impl FixedSums {
    /// From now on the gradients of `parameters` go to `places`, views of `memory` with the parameters' sizes and any dense strides.
    /// Their `.grad` is left alone.
    ///
    /// # Errors
    /// If a tensor takes no gradient, or its place is no f32 memory of the same sizes.
    pub fn attach(
        parameters: &[Tensor],
        places: &[Tensor],
        memory: &FlatBuffer,
    ) -> Result<Self, TorchError> {
        let refused = |message| TorchError {
            operation: PREPARE,
            message,
        };
        if parameters.len() != places.len() {
            let message = format!("{} parameters, {} places", parameters.len(), places.len());
            return Err(refused(message));
        }
        let alike = |(parameter, place): &(&Tensor, &Tensor)| {
            parameter.size() == place.size() && parameter.kind() == place.kind()
        };
        let mut pairs = parameters.iter().zip(places);
        if let Some((parameter, place)) = pairs.find(|pair| !alike(pair)) {
            let (parameter, place) = (kind_of(parameter), kind_of(place));
            return Err(refused(format!(
                "a parameter is {parameter}, its place {place}"
            )));
        }
        let list = |tensors: &[Tensor]| tensors.iter().map(pointer).collect::<Vec<*mut C_tensor>>();
        let (own, at) = (list(parameters), list(places));
        let mut raw = std::ptr::null_mut();
        // SAFETY: both lists have `own.len()` tensors that live through the call; the shim copies their handles.
        let status = unsafe {
            sys::convoy_fixed_sums_new(own.as_ptr(), at.as_ptr(), own.len(), &raw mut raw)
        };
        sys::check(PREPARE, status)?;
        Ok(Self {
            raw,
            parameters: parameters.len(),
            lent: memory.lent(),
        })
    }

    /// Sums begin anew: each gradient value is multiplied by 2 to the power of its parameter's exponent, -126 to 126, clamped to
    /// `-limit..=limit` and rounded, halves to even. `limit` is a whole number, and so small that the sum of all values that will be
    /// added is an i32.
    ///
    /// # Panics
    /// If there are not as many exponents as parameters, or the memory is lent: an error of the caller.
    pub fn begin(&mut self, exponents: &[i32], limit: f32) {
        self.check(exponents.len());
        // SAFETY: as many exponents as places, checked above.
        unsafe { sys::convoy_fixed_sums_begin(self.raw, exponents.as_ptr(), limit) };
    }

    /// No more gradients come: parameters that got none have sums of 0.
    pub fn complete(&mut self) {
        // SAFETY: `raw` is ours. Sums of parameters without gradient are not lent yet: who waits for their gradient keeps them.
        unsafe { sys::convoy_fixed_sums_complete(self.raw) };
    }

    /// The largest magnitude among each parameter's gradients since sums began, as the bits of an f32: above those of all numbers
    /// where it is not finite, so that integers tell the larger of two.
    ///
    /// # Panics
    /// If `into` has not as many values as there are parameters: an error of the caller.
    pub fn magnitudes(&self, into: &mut [i32]) {
        assert_eq!(into.len(), self.parameters, "magnitudes of parameters");
        // SAFETY: room for as many values as places, checked above.
        unsafe { sys::convoy_fixed_sums_magnitudes(self.raw, into.as_mut_ptr()) };
    }

    /// Makes gradients of the sums, in place: the nearest f32, halves to even, times 2 to the power of minus the exponent.
    ///
    /// # Errors
    /// If libtorch fails.
    ///
    /// # Panics
    /// If the memory is lent: an error of the caller.
    pub fn to_floats(&mut self) -> Result<(), TorchError> {
        self.check(self.parameters);
        // SAFETY: `raw` is ours, and no other thread uses the memory, checked above.
        let status = unsafe { sys::convoy_fixed_sums_to_floats(self.raw) };
        sys::check("make gradients of sums", status)
    }

    fn check(&self, exponents: usize) {
        assert_eq!(exponents, self.parameters, "exponents of parameters");
        self.lent.assert_none();
    }
}

impl Drop for FixedSums {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `convoy_fixed_sums_new` and is freed once; it removes its hooks first.
        unsafe { sys::convoy_fixed_sums_free(self.raw) };
    }
}

impl fmt::Debug for FixedSums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FixedSums of {} parameters", self.parameters)
    }
}

#[cfg(test)]
mod tests;
