//! Forward passes in bfloat16, as `torch.autocast("cpu", torch.bfloat16)` makes them.
#![expect(unsafe_code, reason = "FFI: switches of the calling thread")]

use std::marker::PhantomData;

use crate::TorchError;
use crate::sys;

/// While it lives, what the calling thread computes is cast to bfloat16 where libtorch's list of operations says that this is safe.
/// Backward follows the types of forward and needs none of it.
///
/// The weights that were cast are kept until [`forget_casts`], since they are the same for all micro-batches of a step.
#[must_use]
pub struct Autocast {
    /// The switch is one of the thread's.
    _not_send: PhantomData<*const ()>,
}

impl Autocast {
    /// Switches to bfloat16.
    ///
    /// # Errors
    /// If libtorch refuses.
    pub fn bfloat16() -> Result<Self, TorchError> {
        // SAFETY: no pointers; the shim lets no exception out.
        let status = unsafe { sys::convoy_autocast_cpu(true) };
        sys::check("switch to bfloat16", status)?;
        Ok(Self {
            _not_send: PhantomData,
        })
    }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        // SAFETY: as above. Switching off only writes thread-local flags.
        let status = unsafe { sys::convoy_autocast_cpu(false) };
        // Nothing to tell: flags don't fail, and a message would only be freed.
        let _ = sys::check("switch bfloat16 off", status);
    }
}

/// Forgets the weights that [`Autocast`] has cast. To be called whenever the weights have changed.
///
/// # Errors
/// If libtorch refuses.
pub fn forget_casts() -> Result<(), TorchError> {
    // SAFETY: no pointers; the cache belongs to libtorch, which locks it.
    let status = unsafe { sys::convoy_autocast_forget() };
    sys::check("forget cast weights", status)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;

    #[test]
    fn products_are_bfloat16_only_while_the_guard_lives() {
        let a = Tensor::ones([4, 4], (Kind::Float, Device::Cpu));
        {
            let _guard = Autocast::bfloat16().unwrap();
            assert_eq!(a.matmul(&a).kind(), Kind::BFloat16);
        }
        assert_eq!(a.matmul(&a).kind(), Kind::Float);
        forget_casts().unwrap();
    }

    #[test]
    fn cast_weights_take_gradients_and_are_forgotten_when_told() {
        let mut weight = Tensor::ones([4, 4], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let x = Tensor::ones([4, 4], (Kind::Float, Device::Cpu));
        let product = |weight: &Tensor| {
            let _guard = Autocast::bfloat16().unwrap();
            x.matmul(weight)
        };
        for _ in 0..2 {
            product(&weight)
                .to_kind(Kind::Float)
                .sum(Kind::Float)
                .backward();
        }
        assert_eq!(
            weight.grad().double_value(&[0, 0]),
            8.0,
            "twice a sum of four ones"
        );
        let _ = tch::no_grad(|| weight.fill_(3.0));
        forget_casts().unwrap();
        assert_eq!(product(&weight).double_value(&[0, 0]), 12.0);
    }
}
