//! What all members hold alike: parameters, buffers, accounting.

use convoy_common::ids::EpochIndex;
use convoy_common::spec::MemoryFormat;
use convoy_torch::{Elements, FlatBuffer, TorchError, set_gradient};
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
    /// Moves the parameters into flat memory and gives them gradients there.
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
            set_gradient(tensor, &flat.view(&flat.gradients, index, &shape))?;
        }
        Ok(flat)
    }

    /// The part of `memory`, laid out as the parameters are, that belongs to parameter `index` of this shape.
    pub(crate) fn view(&self, memory: &FlatBuffer, index: usize, shape: &[i64]) -> Tensor {
        let strides = strides(self.format, shape);
        memory.view(self.layout.offsets[index], shape, &strides)
    }
}

/// BatchNorm's running statistics. Every shard of a step starts from the same values; what the step leaves is the mean of what the
/// shards made of them, weighted by samples.
pub(crate) struct FlatBuffers {
    /// What the layers read and write.
    pub(crate) live: FlatBuffer,
    /// As they were when the step began.
    start: Tensor,
    /// The weighted sum so far; reduced over all members.
    pub(crate) sum: FlatBuffer,
}

impl FlatBuffers {
    pub(crate) fn adopt(buffers: &mut [NamedTensor]) -> Result<Self, TrainingError> {
        let elements: usize = buffers.iter().map(|b| b.tensor.numel()).sum();
        let live = FlatBuffer::zeros(elements, Kind::Float);
        let mut offset = 0;
        for buffer in buffers {
            let shape = buffer.tensor.size();
            let strides = strides(MemoryFormat::Contiguous, &shape);
            move_into(&mut buffer.tensor, &live.view(offset, &shape, &strides))?;
            offset += buffer.tensor.numel();
        }
        let start = live.tensor().copy();
        Ok(Self {
            live,
            start,
            sum: FlatBuffer::zeros(elements, Kind::Float),
        })
    }

    pub(crate) fn begin_step(&mut self) -> Result<(), tch::TchError> {
        self.start.f_copy_(self.live.tensor())?;
        self.sum.clear();
        Ok(())
    }

    /// Puts back the values from before the step.
    pub(crate) fn restore(&self) -> Result<(), tch::TchError> {
        self.live.tensor().shallow_clone().f_copy_(&self.start)
    }

    /// Adds what a shard with this share of the step's samples made of them.
    pub(crate) fn accumulate(&mut self, share: f64) {
        let share = share as f32;
        let Self { live, sum, .. } = self;
        live.with_elements(|live| {
            sum.with_elements(|sum| match (sum, live) {
                (Elements::F32(sum), Elements::F32(live)) => {
                    for (sum, live) in sum.iter_mut().zip(live) {
                        *sum += share * *live;
                    }
                }
                (Elements::F32(_) | Elements::I64(_), _) => unreachable!("buffers are made of f32"),
            });
        });
    }

    /// Makes the reduced sum the new values.
    pub(crate) fn adopt_sum(&self) -> Result<(), tch::TchError> {
        self.live
            .tensor()
            .shallow_clone()
            .f_copy_(self.sum.tensor())
    }
}

/// Copies the values of `tensor` to `place` and makes it a view of that.
fn move_into(tensor: &mut Tensor, place: &Tensor) -> Result<(), TrainingError> {
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
