//! Networks, with PyTorch's names and initialisation.
//!
//! To add a network: a file beside `small_cnn.rs`, a variant of `ModelName` in the job spec, and a line in [`build`].

mod layers;
mod registry;
mod small_cnn;

use std::sync::{Mutex, PoisonError};

use convoy_common::spec::{ModelName, ModelSpec};
use convoy_data::ImageShape;
use tch::Tensor;

pub use registry::{NamedTensor, Registry};

/// libtorch draws from one generator per process; whoever seeds it must not be disturbed before it has drawn.
static GENERATOR: Mutex<()> = Mutex::new(());

/// A function from images to class scores, with parameters.
pub trait Network: Send {
    /// `images` of shape `[n, channels, height, width]` to scores of shape `[n, classes]`. In training, BatchNorm uses the batch's own
    /// statistics and updates its running ones.
    ///
    /// # Errors
    /// If libtorch refuses the shapes.
    fn forward(&self, images: &Tensor, training: bool) -> Result<Tensor, tch::TchError>;
}

/// A network and the tensors it consists of.
pub struct Model {
    /// The computation.
    pub network: Box<dyn Network>,
    /// Its parameters and buffers by name.
    pub registry: Registry,
}

/// A model that can't be built.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The images don't fit the network.
    #[error(
        "{model} needs images of at least {least}x{least} pixels, the dataset has {height}x{width}"
    )]
    ImagesTooSmall {
        /// The network.
        model: &'static str,
        /// Smallest side.
        least: usize,
        /// Height of the dataset's images.
        height: usize,
        /// Width of the dataset's images.
        width: usize,
    },
    /// libtorch refused.
    #[error("libtorch could not build the model: {0}")]
    Torch(#[from] tch::TchError),
}

/// Builds the network for images of `shape`, initialised from `seed` alone: equal on every worker of one numerics class.
///
/// # Errors
/// If the images are too small for the network.
pub fn build(spec: &ModelSpec, shape: ImageShape, seed: u64) -> Result<Model, ModelError> {
    let _alone = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    // The generator takes a signed number; every pattern of bits is a seed.
    tch::manual_seed(seed.cast_signed());
    let mut registry = Registry::default();
    let network: Box<dyn Network> = match spec.name {
        ModelName::SmallCnn => Box::new(small_cnn::SmallCnn::new(
            &mut registry,
            shape,
            spec.classes,
        )?),
    };
    Ok(Model { network, registry })
}
