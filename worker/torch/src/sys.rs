//! The C interface of `shim/shim.h`, and the one place where its messages become errors.
#![expect(
    unsafe_code,
    reason = "FFI: the declarations and the ownership of messages"
)]

use std::ffi::{CStr, c_char, c_void};

use tch::Tensor;
use torch_sys::C_tensor;

use crate::TorchError;

#[repr(C)]
pub(crate) struct Hook {
    _opaque: [u8; 0],
}

#[repr(C)]
pub(crate) struct Update {
    _opaque: [u8; 0],
}

#[repr(C)]
pub(crate) struct FixedSums {
    _opaque: [u8; 0],
}

/// A layer of BatchNorm, as the shim has it.
#[repr(C)]
pub(crate) struct BatchNorm {
    pub(crate) weight: *mut C_tensor,
    pub(crate) bias: *mut C_tensor,
    pub(crate) running_mean: *mut C_tensor,
    pub(crate) running_var: *mut C_tensor,
    pub(crate) momentum: f64,
    pub(crate) epsilon: f64,
}

pub(crate) type HookFn = extern "C" fn(context: *mut c_void, parameter: usize);

unsafe extern "C" {
    fn convoy_free_message(message: *mut c_char);
    fn convoy_build_settings() -> *mut c_char;
    pub(crate) fn convoy_hook_add(
        tensor: *mut C_tensor,
        call: HookFn,
        context: *mut c_void,
        parameter: usize,
        out: *mut *mut Hook,
    ) -> *mut c_char;
    pub(crate) fn convoy_hook_remove(hook: *mut Hook);
    pub(crate) fn convoy_set_gradient(
        tensor: *mut C_tensor,
        gradient: *mut C_tensor,
    ) -> *mut c_char;
    pub(crate) fn convoy_autocast_cpu(enabled: bool) -> *mut c_char;
    pub(crate) fn convoy_autocast_forget() -> *mut c_char;
    pub(crate) fn convoy_norm_relu(
        x: *mut C_tensor,
        norm: BatchNorm,
        residual: *mut C_tensor,
        out: *mut *mut C_tensor,
    ) -> *mut c_char;
    pub(crate) fn convoy_norm_pool_relu(
        x: *mut C_tensor,
        norm: BatchNorm,
        out: *mut *mut C_tensor,
    ) -> *mut c_char;
    pub(crate) fn convoy_convolve_3x3(
        x: *mut C_tensor,
        weight: *mut C_tensor,
        out: *mut *mut C_tensor,
    ) -> *mut c_char;
    pub(crate) fn convoy_fixed_sums_new(
        parameters: *const *mut C_tensor,
        places: *const *mut C_tensor,
        count: usize,
        out: *mut *mut FixedSums,
    ) -> *mut c_char;
    pub(crate) fn convoy_fixed_sums_free(sums: *mut FixedSums);
    pub(crate) fn convoy_fixed_sums_begin(sums: *mut FixedSums, exponents: *const i32, limit: f32);
    pub(crate) fn convoy_fixed_sums_complete(sums: *mut FixedSums);
    pub(crate) fn convoy_fixed_sums_magnitudes(sums: *const FixedSums, out: *mut i32);
    pub(crate) fn convoy_fixed_sums_to_floats(sums: *mut FixedSums) -> *mut c_char;
    pub(crate) fn convoy_update_new(
        parameters: *const *mut C_tensor,
        gradients: *const *mut C_tensor,
        first: *const *mut C_tensor,
        second: *const *mut C_tensor,
        runs: usize,
        out: *mut *mut Update,
    ) -> *mut c_char;
    pub(crate) fn convoy_update_free(update: *mut Update);
    pub(crate) fn convoy_update_sgd(
        update: *mut Update,
        learning_rate: f64,
        momentum: f64,
        nesterov: bool,
        weight_decay: f64,
        gradient_divisor: f64,
    ) -> *mut c_char;
    pub(crate) fn convoy_update_adamw(
        update: *mut Update,
        learning_rate: f64,
        beta1: f64,
        beta2: f64,
        eps: f64,
        weight_decay: f64,
        count: f64,
        gradient_divisor: f64,
    ) -> *mut c_char;
}

/// Turns what a function of the shim returned into a result.
pub(crate) fn check(operation: &'static str, message: *mut c_char) -> Result<(), TorchError> {
    match take(message) {
        None => Ok(()),
        Some(message) => Err(TorchError { operation, message }),
    }
}

/// A handle for the shim, good while `tensor` is borrowed.
pub(crate) fn pointer(tensor: &Tensor) -> *mut C_tensor {
    tensor.as_ptr().cast_mut()
}

/// What a function of the shim left in its `out`: a tensor, or nothing where it takes no such tensors.
///
/// # Safety
/// `message` and `out` come from one such call, and are used only here.
pub(crate) unsafe fn made(
    operation: &'static str,
    message: *mut c_char,
    out: *mut C_tensor,
) -> Result<Option<Tensor>, TorchError> {
    check(operation, message)?;
    if out.is_null() {
        return Ok(None);
    }
    // SAFETY: the shim made this handle for us with `new`, as tch makes its own.
    Ok(Some(unsafe { Tensor::from_ptr(out) }))
}

/// What the loaded libtorch says of its own build.
pub(crate) fn build_settings() -> String {
    // SAFETY: no arguments; the returned message is owned by us from here on.
    take(unsafe { convoy_build_settings() }).unwrap_or_default()
}

fn take(message: *mut c_char) -> Option<String> {
    if message.is_null() {
        return None;
    }
    // SAFETY: the shim returns a NUL-terminated string from malloc and keeps no pointer to it.
    let text = unsafe { CStr::from_ptr(message) }
        .to_string_lossy()
        .into_owned();
    // SAFETY: as above; freed exactly once, by the allocator it came from.
    unsafe { convoy_free_message(message) };
    Some(text)
}
