//! Two convolutions with BatchNorm, two linear layers: the network of the quickstart.

use convoy_common::spec::ModelSpec;
use convoy_data::ImageShape;
use tch::{TchError, Tensor};

use super::dropout::Dropout;
use super::layers::{BatchNorm2d, Conv2d, ConvInit, ConvShape, Linear};
use super::registry::Registry;
use super::{Network, Pass, signed};

const FIRST_CHANNELS: i64 = 32;
const SECOND_CHANNELS: i64 = 64;
const HIDDEN: i64 = 256;

/// `conv 3x3 (32), BatchNorm, ReLU, max-pool 2, conv 3x3 (64), BatchNorm, ReLU, max-pool 2, linear (256), ReLU, dropout, linear (classes)`.
pub(crate) struct SmallCnn {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    conv2: Conv2d,
    bn2: BatchNorm2d,
    fc1: Linear,
    fc2: Linear,
    dropout: Dropout,
}

impl SmallCnn {
    pub(crate) fn new(
        registry: &mut Registry,
        shape: ImageShape,
        spec: &ModelSpec,
    ) -> Result<Self, TchError> {
        // Two poolings halve the image twice; how small it may be is known to `ModelName::least_side`.
        let features = SECOND_CHANNELS * signed(shape.height / 4) * signed(shape.width / 4);
        Ok(Self {
            conv1: conv(registry, "conv1", signed(shape.channels), FIRST_CHANNELS)?,
            bn1: BatchNorm2d::new(registry, "bn1", FIRST_CHANNELS)?,
            conv2: conv(registry, "conv2", FIRST_CHANNELS, SECOND_CHANNELS)?,
            bn2: BatchNorm2d::new(registry, "bn2", SECOND_CHANNELS)?,
            fc1: Linear::new(registry, "fc1", features, HIDDEN)?,
            fc2: Linear::new(registry, "fc2", HIDDEN, i64::from(spec.classes))?,
            dropout: Dropout::new(spec.dropout),
        })
    }
}

impl Network for SmallCnn {
    fn forward(&self, images: &Tensor, pass: Pass) -> Result<Tensor, TchError> {
        let training = pass.is_training();
        let x = self.conv1.forward(images)?;
        let x = self.bn1.forward_halve_relu(&x, training)?;
        let x = self.conv2.forward(&x)?;
        let x = self.bn2.forward_halve_relu(&x, training)?;
        let x = self.fc1.forward(&x.f_flatten(1, -1)?)?.f_relu_()?;
        self.fc2.forward(&self.dropout.forward(x, pass)?)
    }
}

fn conv(
    registry: &mut Registry,
    name: &str,
    inputs: i64,
    outputs: i64,
) -> Result<Conv2d, TchError> {
    let shape = ConvShape {
        inputs,
        outputs,
        side: 3,
        stride: 1,
    };
    Conv2d::new(registry, name, shape, ConvInit::KaimingUniform)
}
