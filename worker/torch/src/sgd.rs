//! SGD as one fused pass over flat memory.
#![expect(unsafe_code, reason = "FFI: tensors cross as pointers")]

use tch::Tensor;

use crate::TorchError;
use crate::gradient::kind_of;
use crate::sys;

/// The numbers of one update, named as in `torch.optim.SGD` (dampening 0).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdStep {
    /// Step size.
    pub learning_rate: f64,
    /// Share of the velocity that is kept; 0 for none.
    pub momentum: f64,
    /// Look ahead along the velocity.
    pub nesterov: bool,
    /// L2 penalty, added to the gradient.
    pub weight_decay: f64,
}

/// Updates `parameters` in place from `gradients`, and `velocity` with them; all three flat and of one length. A velocity starts as
/// zeros, which makes the first update PyTorch's: its velocity then is the gradient.
///
/// # Errors
/// If libtorch refuses the tensors, such as for different lengths.
pub fn fused_sgd(
    parameters: &Tensor,
    gradients: &Tensor,
    velocity: Option<&Tensor>,
    step: SgdStep,
) -> Result<(), TorchError> {
    check_alike(parameters, gradients)?;
    if let Some(velocity) = velocity {
        check_alike(parameters, velocity)?;
    }
    let velocity = velocity.map_or(std::ptr::null_mut(), |v| v.as_ptr().cast_mut());
    // SAFETY: all tensors live through the call and none is lent to another thread: `FlatBuffer::tensor` asserts it.
    let status = unsafe {
        sys::convoy_fused_sgd(
            parameters.as_ptr().cast_mut(),
            gradients.as_ptr().cast_mut(),
            velocity,
            step.weight_decay,
            step.momentum,
            step.learning_rate,
            step.nesterov,
        )
    };
    sys::check("run the fused SGD update", status)
}

/// libtorch's fused kernel trusts the lengths, so they are checked here.
fn check_alike(parameters: &Tensor, other: &Tensor) -> Result<(), TorchError> {
    let alike = parameters.size() == other.size()
        && parameters.kind() == other.kind()
        && parameters.device() == other.device();
    if alike && parameters.is_contiguous() && other.is_contiguous() {
        return Ok(());
    }
    let message = format!(
        "{} and {} must be contiguous and alike",
        kind_of(parameters),
        kind_of(other)
    );
    Err(TorchError {
        operation: "run the fused SGD update",
        message,
    })
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    /// Two steps of `torch.optim.SGD` written out, as its documentation gives them.
    fn reference(
        mut p: f64,
        gradients: [f64; 2],
        lr: f64,
        mu: f64,
        decay: f64,
        nesterov: bool,
    ) -> f64 {
        let mut velocity = 0.0;
        for (t, g) in gradients.into_iter().enumerate() {
            let g = g + decay * p;
            velocity = if t == 0 { g } else { mu * velocity + g };
            p -= lr
                * if nesterov {
                    g + mu * velocity
                } else {
                    velocity
                };
        }
        p
    }

    #[test]
    fn fused_update_is_pytorchs_sgd() {
        for nesterov in [false, true] {
            let parameters = Tensor::full([5], 0.7, (Kind::Float, Device::Cpu));
            let velocity = Tensor::zeros([5], (Kind::Float, Device::Cpu));
            for g in [0.3, -0.2] {
                let gradients = Tensor::full([5], g, (Kind::Float, Device::Cpu));
                let step = SgdStep {
                    learning_rate: 0.1,
                    momentum: 0.9,
                    nesterov,
                    weight_decay: 0.01,
                };
                fused_sgd(&parameters, &gradients, Some(&velocity), step).unwrap();
            }
            let expected = reference(0.7, [0.3, -0.2], 0.1, 0.9, 0.01, nesterov);
            for value in Vec::<f32>::try_from(&parameters).unwrap() {
                assert!(
                    (f64::from(value) - expected).abs() < 1e-6,
                    "nesterov {nesterov}: {value} instead of {expected}"
                );
            }
        }
    }

    #[test]
    fn different_lengths_are_an_error_and_no_crash() {
        let parameters = Tensor::zeros([4], (Kind::Float, Device::Cpu));
        let gradients = Tensor::zeros([3], (Kind::Float, Device::Cpu));
        let step = SgdStep {
            learning_rate: 0.1,
            momentum: 0.0,
            nesterov: false,
            weight_decay: 0.0,
        };
        assert!(fused_sgd(&parameters, &gradients, None, step).is_err());
    }
}
