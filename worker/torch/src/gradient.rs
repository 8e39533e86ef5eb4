//! Gradients that land where we want them, and a call when each has landed.
#![expect(
    unsafe_code,
    reason = "FFI: tensors and hook contexts cross as pointers"
)]

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tch::Tensor;

use crate::TorchError;
use crate::sys;

type Callback = Box<dyn Fn(usize) + Send + Sync>;

/// Calls back with a parameter's index each time backward has added to that parameter's gradient.
/// Dropping it removes the hooks.
pub struct GradientHooks {
    hooks: Vec<*mut sys::Hook>,
    /// Boxed twice, so that the hooks hold a thin pointer that stays where it is.
    _callback: Box<Callback>,
}

// SAFETY: the hooks are only added in `register` and removed in `drop`, both by whoever owns this value; what runs on
// other threads in between is the callback, which is `Send + Sync` itself.
unsafe impl Send for GradientHooks {}

impl GradientHooks {
    /// Hooks `callback` to every parameter; it gets the index in `parameters`, on the thread that runs backward.
    ///
    /// A panic of the callback aborts the process: backward has no way to carry it.
    ///
    /// # Errors
    /// If a tensor takes no gradient.
    pub fn register(
        parameters: &[Tensor],
        callback: impl Fn(usize) + Send + Sync + 'static,
    ) -> Result<Self, TorchError> {
        let callback: Box<Callback> = Box::new(Box::new(callback));
        let context = std::ptr::from_ref::<Callback>(&callback)
            .cast_mut()
            .cast::<c_void>();
        let mut registered = Self {
            hooks: Vec::with_capacity(parameters.len()),
            _callback: callback,
        };
        for (index, parameter) in parameters.iter().enumerate() {
            let mut hook = std::ptr::null_mut();
            // SAFETY: the tensor lives through the call; `context` points to the box that `registered` owns, which
            // outlives the hooks because `drop` removes them first.
            let status = unsafe {
                sys::convoy_hook_add(
                    parameter.as_ptr().cast_mut(),
                    call,
                    context,
                    index,
                    &raw mut hook,
                )
            };
            sys::check("hook a gradient", status)?;
            registered.hooks.push(hook);
        }
        Ok(registered)
    }
}

impl Drop for GradientHooks {
    fn drop(&mut self) {
        for hook in self.hooks.drain(..) {
            // SAFETY: each pointer came from `convoy_hook_add` and is removed once.
            unsafe { sys::convoy_hook_remove(hook) };
        }
    }
}

extern "C" fn call(context: *mut c_void, parameter: usize) {
    // SAFETY: `context` is the callback of the `GradientHooks` that added this hook and still owns it.
    let callback = unsafe { &*context.cast::<Callback>() };
    if catch_unwind(AssertUnwindSafe(|| callback(parameter))).is_err() {
        std::process::abort();
    }
}

/// Makes `gradient` the gradient of `parameter`: from then on backward adds into its memory in place.
///
/// # Errors
/// If the two differ in shape, type or device.
pub fn set_gradient(parameter: &Tensor, gradient: &Tensor) -> Result<(), TorchError> {
    let same = parameter.size() == gradient.size()
        && parameter.kind() == gradient.kind()
        && parameter.device() == gradient.device();
    if !same {
        let message = format!(
            "the parameter is {}, the gradient {}",
            kind_of(parameter),
            kind_of(gradient)
        );
        return Err(TorchError {
            operation: "set a gradient",
            message,
        });
    }
    // SAFETY: both tensors live through the call; the shim copies the handle of `gradient`, which shares its memory.
    let status = unsafe {
        sys::convoy_set_gradient(parameter.as_ptr().cast_mut(), gradient.as_ptr().cast_mut())
    };
    sys::check("set a gradient", status)
}

/// Shape, type and device in words.
pub(crate) fn kind_of(tensor: &Tensor) -> String {
    format!(
        "{:?} {:?} on {:?}",
        tensor.size(),
        tensor.kind(),
        tensor.device()
    )
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn hooks_fire_once_per_backward_and_gradients_add_up_in_place() {
        let weight = Tensor::ones([3], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let flat = Tensor::zeros([8], (Kind::Float, Device::Cpu));
        set_gradient(&weight, &flat.narrow(0, 2, 3)).unwrap();
        let fired = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&fired);
        let hooks = GradientHooks::register(&[weight.shallow_clone()], move |index| {
            assert_eq!(index, 0);
            count.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap();

        for _ in 0..2 {
            (&weight * 2.0).sum(Kind::Float).backward();
        }
        assert_eq!(fired.load(Ordering::Relaxed), 2);
        assert_eq!(
            Vec::<f32>::try_from(&flat).unwrap(),
            [0.0, 0.0, 4.0, 4.0, 4.0, 0.0, 0.0, 0.0]
        );

        drop(hooks);
        weight.sum(Kind::Float).backward();
        assert_eq!(fired.load(Ordering::Relaxed), 2, "a removed hook is silent");
    }

    #[test]
    fn hooks_tell_which_parameter_in_the_order_of_backward() {
        let first = Tensor::ones([2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let second = Tensor::ones([2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let order = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&order);
        let _hooks = GradientHooks::register(
            &[first.shallow_clone(), second.shallow_clone()],
            move |index| {
                seen.lock().unwrap().push(index);
            },
        )
        .unwrap();
        ((&first * 3.0).exp() * &second).sum(Kind::Float).backward();
        assert_eq!(
            *order.lock().unwrap(),
            [1, 0],
            "the parameter nearest to the loss comes first"
        );
    }

    #[test]
    fn a_gradient_of_another_shape_is_refused_with_both_shapes() {
        let weight = Tensor::ones([3], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let error = set_gradient(&weight, &Tensor::zeros([4], (Kind::Float, Device::Cpu)))
            .unwrap_err()
            .to_string();
        assert!(error.contains("[3]") && error.contains("[4]"), "{error}");
    }

    #[test]
    fn a_tensor_without_gradient_takes_no_hook() {
        let constant = Tensor::ones([3], (Kind::Float, Device::Cpu));
        assert!(GradientHooks::register(&[constant], |_| {}).is_err());
    }
}
