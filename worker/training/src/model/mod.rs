//! Networks, with PyTorch's names and initialisation.
//!
//! To add a network: a file beside `small_cnn.rs`, a variant of `ModelName` in the job spec, and a line in [`draw`].

mod dropout;
mod layers;
mod registry;
mod resnet;
mod small_cnn;
mod starting_weights;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, PoisonError};

use convoy_common::spec::{ImagesTooSmall, ModelName, ModelSpec};
use convoy_data::ImageShape;
use tch::Tensor;

use resnet::{Architecture, BlockKind, ResNet};

pub(crate) use dropout::seed as dropout_seed;
pub use registry::{NamedTensor, Registry, StateEntry};
pub use starting_weights::{Difference, NewHead, StartError, StartingWeights};

/// libtorch draws from one generator per process; whoever seeds it must not be disturbed before it has drawn.
static GENERATOR: Mutex<()> = Mutex::new(());

/// What a forward pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// A micro-batch to learn from: BatchNorm uses the batch's own statistics and updates its running ones, dropout leaves out what
    /// the draws from this seed say.
    Training {
        /// Different for every micro-batch of a job.
        seed: u64,
    },
    /// Scores that depend on each image alone.
    Evaluation,
}

impl Pass {
    pub(crate) fn is_training(self) -> bool {
        match self {
            Self::Training { .. } => true,
            Self::Evaluation => false,
        }
    }
}

/// A function from images to class scores, with parameters.
pub trait Network: Send {
    /// `images` of shape `[n, channels, height, width]` to scores of shape `[n, classes]`.
    ///
    /// # Errors
    /// If libtorch refuses the shapes.
    fn forward(&self, images: &Tensor, pass: Pass) -> Result<Tensor, tch::TchError>;
}

/// A network and the tensors it consists of.
pub struct Model {
    /// The computation.
    pub network: Box<dyn Network>,
    /// Its parameters and buffers by name.
    pub registry: Registry,
    /// Where its weights come from, if not from the seed.
    pub start: Option<StartingWeights>,
}

/// A model that can't be built.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The images don't fit the network.
    #[error(transparent)]
    ImagesTooSmall(#[from] ImagesTooSmall),
    /// The weights of `model.init` can't be started from.
    #[error(transparent)]
    Start(#[from] StartError),
    /// libtorch refused.
    #[error("libtorch could not build the model: {0}")]
    Torch(#[from] tch::TchError),
}

/// Builds the network for images of `shape`, initialised from `seed`, and then from `spec.init` if that is said: equal on every
/// worker of one numerics class that reads the same file.
///
/// # Errors
/// If the images are too small for the network, or the file does not fit it.
pub fn build(spec: &ModelSpec, shape: ImageShape, seed: u64) -> Result<Model, ModelError> {
    spec.check_images(shape.height, shape.width)?;
    let mut registry = Registry::default();
    let network = draw(&mut registry, spec, shape, seed)?;
    let start = match &spec.init {
        Some(file) => Some(starting_weights::load(&registry, spec, file)?),
        None => None,
    };
    Ok(Model {
        network,
        registry,
        start,
    })
}

fn draw(
    registry: &mut Registry,
    spec: &ModelSpec,
    shape: ImageShape,
    seed: u64,
) -> Result<Box<dyn Network>, ModelError> {
    let _alone = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    // The generator takes a signed number; every pattern of bits is a seed.
    tch::manual_seed(seed.cast_signed());
    let (block, blocks) = match spec.name {
        ModelName::SmallCnn => {
            return Ok(Box::new(small_cnn::SmallCnn::new(registry, shape, spec)?));
        }
        ModelName::Resnet18 => (BlockKind::Basic, [2, 2, 2, 2]),
        ModelName::Resnet34 => (BlockKind::Basic, [3, 4, 6, 3]),
        ModelName::Resnet50 => (BlockKind::Bottleneck, [3, 4, 6, 3]),
        ModelName::Resnet101 => (BlockKind::Bottleneck, [3, 4, 23, 3]),
        ModelName::Resnet152 => (BlockKind::Bottleneck, [3, 8, 36, 3]),
    };
    let architecture = Architecture { block, blocks };
    let network = ResNet::new(registry, architecture, shape, spec)?;
    Ok(Box::new(network))
}

fn signed(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
