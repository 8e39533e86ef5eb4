//! What all members hold alike: parameters and accounting; buffers have a file of their own.

use convoy_common::ids::EpochIndex;
use convoy_common::spec::MemoryFormat;
use convoy_torch::{FlatBuffer, TorchError};
use tch::{Kind, Tensor};

use crate::buckets::BucketLayout;
use crate::memory_format::strides;
use crate::model::NamedTensor;
use crate::trainer::TrainingError;

/// Parameters and their gradients, each as views into one flat memory.
pub(crate) struct FlatParameters {
    pub(crate) layout: BucketLayout,
    pub(crate) values: FlatBuffer,
    pub(crate) gradients: FlatBuffer,
    format: MemoryFormat,
}

impl FlatParameters {
    /// Moves the parameters into flat memory and makes room for their gradients.
    pub(crate) fn adopt(
        parameters: &mut [NamedTensor],
        format: MemoryFormat,
    ) -> Result<Self, TrainingError> {
        let elements: Vec<usize> = parameters.iter().map(|p| p.tensor.numel()).collect();
        let layout = BucketLayout::new(&elements);
        let flat = Self {
            values: FlatBuffer::zeros(layout.elements, Kind::Float),
            gradients: FlatBuffer::zeros(layout.elements, Kind::Float),
            layout,
            format,
        };
        for (index, NamedTensor { tensor, .. }) in parameters.iter_mut().enumerate() {
            let shape = tensor.size();
            move_into(tensor, &flat.view(&flat.values, index, &shape))?;
        }
        Ok(flat)
    }

    /// The part of `memory`, laid out as the parameters are, that belongs to parameter `index` of this shape.
    pub(crate) fn view(&self, memory: &FlatBuffer, index: usize, shape: &[i64]) -> Tensor {
        let strides = strides(self.format, shape);
        memory.view(self.layout.offsets[index], shape, &strides)
    }
}

/// Copies the values of `tensor` to `place` and makes it a view of that.
pub(crate) fn move_into(tensor: &mut Tensor, place: &Tensor) -> Result<(), TrainingError> {
    let torch = |source| TrainingError::Torch {
        operation: "lay out the model",
        source,
    };
    let mut place = place.shallow_clone();
    tch::no_grad(|| place.f_copy_(&tensor.detach())).map_err(torch)?;
    tensor.f_set_data(&place).map_err(torch)
}

/// Which samples entered the running epoch, over all members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accounting {
    /// How many.
    pub samples: u64,
    /// The wrapping sum of [`convoy_common::order::sample_hash`] over them.
    pub hash_sum: u64,
}

impl Accounting {
    pub(crate) fn add(&mut self, samples: u64, hash_sum: u64) {
        self.samples += samples;
        self.hash_sum = self.hash_sum.wrapping_add(hash_sum);
    }

    /// Checks a complete epoch against the dataset's own count and sum.
    pub(crate) fn check(self, epoch: EpochIndex, expected: Self) -> Result<(), TrainingError> {
        if self == expected {
            Ok(())
        } else {
            Err(TrainingError::Accounting {
                epoch,
                found: self,
                expected,
            })
        }
    }
}

impl From<TorchError> for TrainingError {
    fn from(error: TorchError) -> Self {
        Self::Library(error)
    }
}
