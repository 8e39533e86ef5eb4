//! What a step asks for and what it gets.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use convoy_common::ids::{EpochIndex, ShardIndex, StepIndex};
use convoy_common::order::{SampleOrder, sample_hash};

use crate::aligned::AlignedFloats;
use crate::dataset::Dataset;
use crate::error::DataError;
use crate::transform::{Layout, Transform};

/// A part of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// What is trained on.
    Train,
    /// What is evaluated on.
    Test,
}

/// One micro-batch: which positions of which epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchRequest {
    /// The split they belong to.
    pub split: Split,
    /// The pass whose order applies.
    pub epoch: EpochIndex,
    /// The job's step, counted over all epochs.
    pub step: StepIndex,
    /// The shard they belong to.
    pub shard: ShardIndex,
    /// Positions in the epoch's order, or samples where the ordering is sequential.
    pub positions: Range<u64>,
}

/// A micro-batch, ready for the device.
#[derive(Clone, Debug)]
pub struct Batch {
    /// What was asked for.
    pub request: BatchRequest,
    /// Normalised pixels, image by image in the order of the positions.
    pub images: AlignedFloats,
    /// How the values of an image lie.
    pub layout: Layout,
    /// Classes, one per image.
    pub labels: Vec<i64>,
    /// Wrapping sum of [`sample_hash`] over the samples: what the accounting of samples adds up.
    pub sample_hash_sum: u64,
}

impl Batch {
    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no samples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

/// Which sample stands at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleOrdering {
    /// Training: every epoch in another order, drawn from the job's seed.
    Shuffled {
        /// The job's seed.
        seed: u64,
    },
    /// Evaluation: position and sample are the same.
    Sequential,
}

/// The memory of a batch, used again and again.
#[derive(Default)]
pub(crate) struct Buffers {
    images: AlignedFloats,
    labels: Vec<i64>,
}

impl From<Batch> for Buffers {
    fn from(batch: Batch) -> Self {
        Self {
            images: batch.images,
            labels: batch.labels,
        }
    }
}

/// Turns requests for one split into batches; the same request gives the same batch on every thread and worker.
pub struct BatchMaker {
    dataset: Arc<dyn Dataset>,
    transform: Transform,
    ordering: SampleOrdering,
}

impl BatchMaker {
    /// Makes batches of `dataset`: its samples in the order `ordering`, its images through `transform`.
    ///
    /// # Errors
    /// If the transform is for images of another shape.
    pub fn new(
        dataset: Arc<dyn Dataset>,
        transform: Transform,
        ordering: SampleOrdering,
    ) -> Result<Self, DataError> {
        if transform.shape() != dataset.shape() {
            return Err(DataError::TransformShapeDiffers {
                transform: transform.shape(),
                dataset: dataset.shape(),
            });
        }
        Ok(Self {
            dataset,
            transform,
            ordering,
        })
    }

    /// Fills `buffers` with what `request` asks for; gives up between two samples once `stopped` is set.
    pub(crate) fn make(
        &self,
        request: BatchRequest,
        buffers: Buffers,
        stopped: &AtomicBool,
    ) -> Result<Batch, DataError> {
        let count = self.checked_count(&request.positions)?;
        let values = self.dataset.shape().values();
        let Buffers {
            mut images,
            mut labels,
        } = buffers;
        labels.clear();
        // Where it takes new memory, then for one more: micro-batches differ by a sample, and the largest need not come first.
        if labels.capacity() < count {
            labels.reserve_exact(count + 1);
        }
        // Old values stay: each is overwritten below.
        images.resize(count * values, values);
        let order = self.order_of(request.epoch);
        let mut sample_hash_sum = 0u64;
        for (position, image) in request
            .positions
            .clone()
            .zip(images.chunks_exact_mut(values))
        {
            if stopped.load(Ordering::Relaxed) {
                return Err(DataError::Stopped);
            }
            let index = order
                .as_ref()
                .map_or(position, |order| order.sample_at(position));
            let sample = self.dataset.get(index as usize)?;
            self.transform
                .apply(sample.pixels, request.step, position, image);
            labels.push(i64::from(sample.label));
            sample_hash_sum = sample_hash_sum.wrapping_add(sample_hash(index));
        }
        Ok(Batch {
            request,
            images,
            layout: self.transform.layout(),
            labels,
            sample_hash_sum,
        })
    }

    fn checked_count(&self, positions: &Range<u64>) -> Result<usize, DataError> {
        let samples = self.dataset.len() as u64;
        let no_such_positions = DataError::NoSuchPositions {
            start: positions.start,
            end: positions.end,
            samples,
        };
        if positions.start > positions.end || positions.end > samples {
            return Err(no_such_positions);
        }
        // Below the number of samples, which is a usize.
        Ok((positions.end - positions.start) as usize)
    }

    fn order_of(&self, epoch: EpochIndex) -> Option<SampleOrder> {
        match self.ordering {
            SampleOrdering::Shuffled { seed } => {
                Some(SampleOrder::new(seed, epoch, self.dataset.len() as u64))
            }
            SampleOrdering::Sequential => None,
        }
    }
}
