//! Where each parameter lies in the flat memory, and which parts of it are reduced together.
//!
//! The layout depends on the model alone. Parameters are laid out in reverse, which is about the order in which backward finishes
//! their gradients. As in PyTorch's DDP a bucket ends with the parameter that fills it, and the first is small, so that the
//! communication starts soon. Later ones hold 4 MiB instead of 25: a ring over TCP is at its full speed from 1 MiB on, and what
//! the last bucket holds, of the layers next to the input, is what backward cannot hide.

use std::ops::Range;

/// Elements that parameters are aligned to: 64 bytes, a cache line and the widest vector.
const ALIGNMENT: usize = 16;
/// 1 MiB of f32.
const FIRST_BUCKET_ELEMENTS: usize = 1 << 18;
/// 4 MiB of f32.
const BUCKET_ELEMENTS: usize = 4 << 18;

/// The layout of one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BucketLayout {
    /// Where each parameter starts, in elements, by its index in the model.
    pub offsets: Vec<usize>,
    /// The bucket of each parameter, by its index in the model.
    pub bucket_of: Vec<usize>,
    /// The part of the flat memory that each bucket covers; together they tile it.
    pub buckets: Vec<Range<usize>>,
    /// Length of the flat memory in elements, padding included.
    pub elements: usize,
}

impl BucketLayout {
    /// Lays out parameters with these numbers of elements.
    pub(crate) fn new(parameter_elements: &[usize]) -> Self {
        let mut layout = Self {
            offsets: vec![0; parameter_elements.len()],
            bucket_of: vec![0; parameter_elements.len()],
            buckets: Vec::new(),
            elements: 0,
        };
        let mut bucket_start = 0;
        for (index, elements) in parameter_elements.iter().enumerate().rev() {
            layout.offsets[index] = layout.elements;
            layout.bucket_of[index] = layout.buckets.len();
            layout.elements += elements.next_multiple_of(ALIGNMENT);
            let limit = if layout.buckets.is_empty() {
                FIRST_BUCKET_ELEMENTS
            } else {
                BUCKET_ELEMENTS
            };
            if layout.elements - bucket_start >= limit {
                layout.buckets.push(bucket_start..layout.elements);
                bucket_start = layout.elements;
            }
        }
        if layout.elements > bucket_start {
            layout.buckets.push(bucket_start..layout.elements);
        }
        layout
    }

    /// How many parameters each bucket waits for.
    pub(crate) fn parameters_per_bucket(&self) -> Vec<u32> {
        let mut counts = vec![0; self.buckets.len()];
        for bucket in &self.bucket_of {
            counts[*bucket] += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_parameters_share_the_first_small_bucket() {
        let layout = BucketLayout::new(&[300_000, 200_000, 100_000]);
        assert_eq!(layout.bucket_of, [1, 0, 0]);
        assert_eq!(layout.offsets, [300_000, 100_000, 0]);
        assert_eq!(layout.parameters_per_bucket(), [2, 1]);
    }

    #[test]
    fn a_large_parameter_ends_its_bucket_and_waits_for_none_below_it() {
        let layout = BucketLayout::new(&[1_000, 800_000, 3_000]);
        assert_eq!(layout.bucket_of, [1, 0, 0]);
        let layout = BucketLayout::new(&[10, 30_000_000, 10]);
        assert_eq!(layout.bucket_of, [1, 0, 0]);
    }

    proptest! {
        #[test]
        fn buckets_tile_the_memory_and_parameters_never_overlap(sizes in prop::collection::vec(1usize..900_000, 0..40)) {
            let layout = BucketLayout::new(&sizes);
            let mut end = 0;
            for bucket in &layout.buckets {
                prop_assert_eq!(bucket.start, end);
                end = bucket.end;
            }
            prop_assert_eq!(end, layout.elements);
            let mut places: Vec<_> = layout.offsets.iter().zip(&sizes).map(|(o, s)| (*o, *o + *s)).collect();
            places.sort_unstable();
            prop_assert!(places.windows(2).all(|pair| pair[0].1 <= pair[1].0));
            for (index, offset) in layout.offsets.iter().enumerate() {
                let bucket = &layout.buckets[layout.bucket_of[index]];
                prop_assert!(offset % ALIGNMENT == 0 && bucket.start <= *offset && offset + sizes[index] <= bucket.end);
            }
        }
    }
}
