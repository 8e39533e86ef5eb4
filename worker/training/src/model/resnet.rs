//! The ResNets of torchvision: its names, its order, its initialisation, its arithmetic.
//!
//! Source: He and others, "Deep Residual Learning for Image Recognition" (2015), as torchvision builds it: the stride of a
//! bottleneck is in its 3x3 convolution ("V1.5"), and no BatchNorm starts at zero. Every stride and pooling rounds sides
//! up, so that no image is too small.

use convoy_common::spec::{ModelSpec, Stem};
use convoy_data::ImageShape;
use tch::{TchError, Tensor};

use super::dropout::Dropout;
use super::layers::{BatchNorm2d, Conv2d, ConvInit, ConvShape, Linear};
use super::registry::Registry;
use super::{Network, Pass, signed};

/// Channels of the stem and of the first stage; each further stage doubles them.
const BASE_CHANNELS: i64 = 64;
/// How many times a bottleneck's last convolution widens it.
const EXPANSION: i64 = 4;

/// What a ResNet of one depth consists of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Architecture {
    pub(crate) block: BlockKind,
    /// Blocks of each stage.
    pub(crate) blocks: [usize; 4],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockKind {
    /// Two 3x3 convolutions.
    Basic,
    /// Convolutions of 1x1, 3x3 and 1x1.
    Bottleneck,
}

impl BlockKind {
    /// Channels that a block of this width gives.
    fn outputs(self, width: i64) -> i64 {
        match self {
            Self::Basic => width,
            Self::Bottleneck => width * EXPANSION,
        }
    }
}

/// Stem, four stages, average over the image, dropout, linear layer.
pub(crate) struct ResNet {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    has_max_pool: bool,
    blocks: Vec<Block>,
    fc: Linear,
    dropout: Dropout,
}

impl ResNet {
    pub(crate) fn new(
        registry: &mut Registry,
        architecture: Architecture,
        shape: ImageShape,
        spec: &ModelSpec,
    ) -> Result<Self, TchError> {
        let Architecture {
            block: kind,
            blocks: depths,
        } = architecture;
        let (side, stride, has_max_pool) = match spec.stem {
            Stem::Imagenet => (7, 2, true),
            Stem::Cifar => (3, 1, false),
        };
        let inputs = signed(shape.channels);
        let conv1 = conv(registry, "conv1", [inputs, BASE_CHANNELS], side, stride)?;
        let bn1 = BatchNorm2d::new(registry, "bn1", BASE_CHANNELS)?;
        let mut blocks = Vec::with_capacity(depths.iter().sum());
        let mut inputs = BASE_CHANNELS;
        for (stage, depth) in depths.into_iter().enumerate() {
            let width = BASE_CHANNELS << stage;
            for index in 0..depth {
                let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                let name = format!("layer{}.{index}", stage + 1);
                blocks.push(Block::new(registry, &name, kind, inputs, width, stride)?);
                inputs = kind.outputs(width);
            }
        }
        Ok(Self {
            conv1,
            bn1,
            has_max_pool,
            blocks,
            fc: Linear::new(registry, "fc", inputs, i64::from(spec.classes))?,
            dropout: Dropout::new(spec.dropout),
        })
    }
}

impl Network for ResNet {
    fn forward(&self, images: &Tensor, pass: Pass) -> Result<Tensor, TchError> {
        let training = pass.is_training();
        let mut x = self
            .bn1
            .forward_relu(&self.conv1.forward(images)?, training)?;
        if self.has_max_pool {
            x = x.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)?;
        }
        for block in &self.blocks {
            x = block.forward(&x, training)?;
        }
        let features = x.f_adaptive_avg_pool2d([1, 1])?.f_flatten(1, -1)?;
        self.fc.forward(&self.dropout.forward(features, pass)?)
    }
}

/// Convolutions, each with its BatchNorm, around which the input is carried to the sum at the end.
struct Block {
    layers: Vec<(Conv2d, BatchNorm2d)>,
    /// Fits the carried input where side or channels change.
    downsample: Option<(Conv2d, BatchNorm2d)>,
}

impl Block {
    fn new(
        registry: &mut Registry,
        name: &str,
        kind: BlockKind,
        inputs: i64,
        width: i64,
        stride: i64,
    ) -> Result<Self, TchError> {
        let outputs = kind.outputs(width);
        // Channels in and out, side of the kernels, stride.
        let convolutions = match kind {
            BlockKind::Basic => vec![([inputs, width], 3, stride), ([width, outputs], 3, 1)],
            BlockKind::Bottleneck => vec![
                ([inputs, width], 1, 1),
                ([width, width], 3, stride),
                ([width, outputs], 1, 1),
            ],
        };
        let mut layers = Vec::with_capacity(convolutions.len());
        for (index, (channels, side, stride)) in convolutions.into_iter().enumerate() {
            let number = index + 1;
            let conv = conv(
                registry,
                &format!("{name}.conv{number}"),
                channels,
                side,
                stride,
            )?;
            let norm = BatchNorm2d::new(registry, &format!("{name}.bn{number}"), channels[1])?;
            layers.push((conv, norm));
        }
        let downsample = if stride != 1 || inputs != outputs {
            let name = format!("{name}.downsample");
            let conv = conv(registry, &format!("{name}.0"), [inputs, outputs], 1, stride)?;
            let norm = BatchNorm2d::new(registry, &format!("{name}.1"), outputs)?;
            Some((conv, norm))
        } else {
            None
        };
        Ok(Self { layers, downsample })
    }

    fn forward(&self, input: &Tensor, training: bool) -> Result<Tensor, TchError> {
        let mut x = input.shallow_clone();
        for (index, (conv, norm)) in self.layers.iter().enumerate() {
            x = conv.forward(&x)?;
            x = if index + 1 < self.layers.len() {
                norm.forward_relu(&x, training)?
            } else {
                norm.forward_add_relu(&x, &self.carried(input, training)?, training)?
            };
        }
        Ok(x)
    }

    fn carried(&self, input: &Tensor, training: bool) -> Result<Tensor, TchError> {
        match &self.downsample {
            Some((conv, norm)) => norm.forward(&conv.forward(input)?, training),
            None => Ok(input.shallow_clone()),
        }
    }
}

fn conv(
    registry: &mut Registry,
    name: &str,
    [inputs, outputs]: [i64; 2],
    side: i64,
    stride: i64,
) -> Result<Conv2d, TchError> {
    let shape = ConvShape {
        inputs,
        outputs,
        side,
        stride,
    };
    Conv2d::new(registry, name, shape, ConvInit::KaimingNormalFanOut)
}
