//! Layers with PyTorch's names, initialisation and defaults.
//!
//! tch's own layers are not used: their initialisation differs from PyTorch's. Weights of convolutions and linear layers are
//! drawn by kaiming-uniform with a = sqrt(5), which is an even draw from +-1/sqrt(fan in), and so are their biases
//! (`torch.nn.Linear.reset_parameters`, `torch.nn._ConvNd.reset_parameters`).
//!
//! **Invariant:** nothing here asks how a tensor lies in memory, so that weights and images may be channels last. What follows a
//! BatchNorm is one function with it, and convolutions of 3x3 are Winograd's, where `convoy_torch` has such a function for the tensors
//! at hand; else libtorch's.

use convoy_torch::{TorchError, convolve_3x3, norm_add_relu, norm_pool_relu, norm_relu};
use tch::{TchError, Tensor};

use super::registry::Registry;

/// `torch.nn.BatchNorm2d`'s defaults.
const BATCH_NORM_EPSILON: f64 = 1e-5;
const BATCH_NORM_MOMENTUM: f64 = 0.1;

/// A square convolution without bias, as it stands before a BatchNorm. Padding keeps the side, but for the stride.
pub(crate) struct Conv2d {
    weight: Tensor,
    side: i64,
    stride: i64,
}

/// What a convolution is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConvShape {
    /// Channels in.
    pub(crate) inputs: i64,
    /// Channels out.
    pub(crate) outputs: i64,
    /// Side of the kernels, odd.
    pub(crate) side: i64,
    pub(crate) stride: i64,
}

/// From which distribution a convolution's weights are drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ConvInit {
    /// `torch.nn.Conv2d`'s default.
    KaimingUniform,
    /// `kaiming_normal_(mode="fan_out", nonlinearity="relu")`, as torchvision's ResNets have it: normal with deviation
    /// sqrt(2 / fan out).
    KaimingNormalFanOut,
}

impl Conv2d {
    pub(crate) fn new(
        registry: &mut Registry,
        name: &str,
        shape: ConvShape,
        init: ConvInit,
    ) -> Result<Self, TchError> {
        let ConvShape {
            inputs,
            outputs,
            side,
            stride,
        } = shape;
        let name = format!("{name}.weight");
        let dimensions = [outputs, inputs, side, side];
        let weight = match init {
            ConvInit::KaimingUniform => {
                registry.uniform(name, &dimensions, bound(inputs * side * side))?
            }
            ConvInit::KaimingNormalFanOut => {
                let fan_out = outputs * side * side;
                registry.normal(name, &dimensions, (2.0 / fan_out as f64).sqrt())?
            }
        };
        Ok(Self {
            weight,
            side,
            stride,
        })
    }

    pub(crate) fn forward(&self, images: &Tensor) -> Result<Tensor, TchError> {
        if (self.side, self.stride) == (3, 1)
            && let Some(out) = convolve_3x3(images, &self.weight).map_err(torch_failure)?
        {
            return Ok(out);
        }
        let padding = self.side / 2;
        images.f_conv2d(
            &self.weight,
            None::<&Tensor>,
            [self.stride, self.stride],
            [padding, padding],
            [1, 1],
            1,
        )
    }
}

/// Normalises each channel over the batch, then scales and shifts it.
pub(crate) struct BatchNorm2d {
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
}

impl BatchNorm2d {
    pub(crate) fn new(
        registry: &mut Registry,
        name: &str,
        channels: i64,
    ) -> Result<Self, TchError> {
        let weight = registry.constant(format!("{name}.weight"), &[channels], 1.0)?;
        let bias = registry.constant(format!("{name}.bias"), &[channels], 0.0)?;
        let running_mean = registry.buffer(format!("{name}.running_mean"), &[channels], 0.0)?;
        let running_var = registry.buffer(format!("{name}.running_var"), &[channels], 1.0)?;
        registry.step_counter(format!("{name}.num_batches_tracked"));
        Ok(Self {
            weight,
            bias,
            running_mean,
            running_var,
        })
    }

    pub(crate) fn forward(&self, images: &Tensor, training: bool) -> Result<Tensor, TchError> {
        images.f_batch_norm(
            Some(&self.weight),
            Some(&self.bias),
            Some(&self.running_mean),
            Some(&self.running_var),
            training,
            BATCH_NORM_MOMENTUM,
            BATCH_NORM_EPSILON,
            false,
        )
    }

    /// ReLU of what [`BatchNorm2d::forward`] gives.
    pub(crate) fn forward_relu(&self, images: &Tensor, training: bool) -> Result<Tensor, TchError> {
        match self.fused(training, |norm| norm_relu(images, norm))? {
            Some(out) => Ok(out),
            None => self.forward(images, training)?.f_relu_(),
        }
    }

    /// ReLU of what [`BatchNorm2d::forward`] gives plus `carried`.
    pub(crate) fn forward_add_relu(
        &self,
        images: &Tensor,
        carried: &Tensor,
        training: bool,
    ) -> Result<Tensor, TchError> {
        match self.fused(training, |norm| norm_add_relu(images, norm, carried))? {
            Some(out) => Ok(out),
            None => self.forward(images, training)?.f_add_(carried)?.f_relu_(),
        }
    }

    /// ReLU of the largest values in windows of 2x2 of what [`BatchNorm2d::forward`] gives.
    pub(crate) fn forward_halve_relu(
        &self,
        images: &Tensor,
        training: bool,
    ) -> Result<Tensor, TchError> {
        match self.fused(training, |norm| norm_pool_relu(images, norm))? {
            Some(out) => Ok(out),
            // Max-pool first, then ReLU: the same values, a quarter of the work.
            None => self
                .forward(images, training)?
                .f_max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)?
                .f_relu_(),
        }
    }

    /// In training, what `layer` makes of this BatchNorm if it takes the tensors. Where it does not, ReLU and sum write in place, which
    /// autograd allows because BatchNorm keeps what it was given, not what it made.
    fn fused(
        &self,
        training: bool,
        layer: impl FnOnce(convoy_torch::BatchNorm<'_>) -> Result<Option<Tensor>, TorchError>,
    ) -> Result<Option<Tensor>, TchError> {
        if !training {
            return Ok(None);
        }
        let norm = convoy_torch::BatchNorm {
            weight: &self.weight,
            bias: &self.bias,
            running_mean: &self.running_mean,
            running_var: &self.running_var,
            momentum: BATCH_NORM_MOMENTUM,
            epsilon: BATCH_NORM_EPSILON,
        };
        layer(norm).map_err(torch_failure)
    }
}

/// A matrix and a bias.
pub(crate) struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    pub(crate) fn new(
        registry: &mut Registry,
        name: &str,
        inputs: i64,
        outputs: i64,
    ) -> Result<Self, TchError> {
        let weight =
            registry.uniform(format!("{name}.weight"), &[outputs, inputs], bound(inputs))?;
        let bias = registry.uniform(format!("{name}.bias"), &[outputs], bound(inputs))?;
        Ok(Self { weight, bias })
    }

    pub(crate) fn forward(&self, features: &Tensor) -> Result<Tensor, TchError> {
        features.f_linear(&self.weight, Some(&self.bias))
    }
}

fn torch_failure(error: TorchError) -> TchError {
    TchError::Torch(error.to_string())
}

fn bound(fan_in: i64) -> f64 {
    1.0 / (fan_in as f64).sqrt()
}
