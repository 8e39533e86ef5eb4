//! The tensors that a micro-batch enters the network in: made once, filled anew for each.

use convoy_common::spec::MemoryFormat;
use convoy_data::{Batch, ImageShape, Layout};
use convoy_torch::FlatBuffer;
use tch::{Kind, Tensor};

use crate::memory_format::image_strides;

/// How a pipeline must lay out the images of batches for a trainer of this memory format.
#[must_use]
pub fn layout(format: MemoryFormat) -> Layout {
    match format {
        MemoryFormat::ChannelsLast => Layout::Nhwc,
        MemoryFormat::Contiguous => Layout::Nchw,
    }
}

/// Memory for the largest micro-batch. What [`Inputs::fill`] returned is overwritten by the next call, so the graph that
/// was computed from it must be gone by then.
pub(crate) struct Inputs {
    shape: ImageShape,
    format: MemoryFormat,
    images: FlatBuffer,
    labels: FlatBuffer,
}

impl Inputs {
    pub(crate) fn new(shape: ImageShape, format: MemoryFormat) -> Self {
        Self {
            shape,
            format,
            images: FlatBuffer::zeros(0, Kind::Float),
            labels: FlatBuffer::zeros(0, Kind::Int64),
        }
    }

    /// The micro-batch as images of shape `[n, channels, height, width]` in the memory format, and labels of shape `[n]`.
    ///
    /// # Panics
    /// If the batch was laid out otherwise: an error of the caller.
    pub(crate) fn fill(&mut self, batch: &Batch) -> (Tensor, Tensor) {
        assert_eq!(batch.layout, layout(self.format), "layout of a batch");
        if self.labels.len() < batch.len() {
            // Micro-batches differ by a sample, and the largest need not come first.
            let samples = batch.len() + 1;
            self.images = FlatBuffer::zeros(samples * self.shape.values(), Kind::Float);
            self.labels = FlatBuffer::zeros(samples, Kind::Int64);
        }
        self.images
            .with_f32(|values| values[..batch.images.len()].copy_from_slice(&batch.images));
        self.labels
            .with_i64(|values| values[..batch.len()].copy_from_slice(&batch.labels));
        let signed = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let ImageShape {
            channels,
            height,
            width,
        } = self.shape;
        let shape = [batch.len(), channels, height, width].map(signed);
        let images = self
            .images
            .view(0, &shape, &image_strides(self.format, shape));
        (images, self.labels.view(0, &[signed(batch.len())], &[1]))
    }
}
