//! Floats that start where a cache line does.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// Alignment of the first float in bytes: a cache line, the widest vector register (AVX-512) and what libtorch gives its own
/// CPU tensors.
pub const ALIGNMENT_BYTES: usize = 64;

/// Floats that may lie before the first one, so that it can be aligned.
const SLACK: usize = ALIGNMENT_BYTES / size_of::<f32>() - 1;

/// A slice of floats in memory of its own; the first lies on a multiple of [`ALIGNMENT_BYTES`].
#[derive(Default)]
pub struct AlignedFloats {
    /// Moves with its owner but never in memory, so that `start` stays right.
    memory: Vec<f32>,
    start: usize,
    length: usize,
}

impl AlignedFloats {
    /// Makes it `length` floats long. Values are those of earlier use or 0; memory is kept, and replaced only by more: then with
    /// room for `spare` floats beyond.
    pub(crate) fn resize(&mut self, length: usize, spare: usize) {
        if self.start + length > self.memory.len() {
            self.memory = vec![0.0; length + spare + SLACK];
            // The offset may be unknown in theory; unaligned floats are slower, not wrong.
            self.start = self
                .memory
                .as_ptr()
                .align_offset(ALIGNMENT_BYTES)
                .min(SLACK);
        }
        self.length = length;
    }
}

impl Deref for AlignedFloats {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.memory[self.start..self.start + self.length]
    }
}

impl DerefMut for AlignedFloats {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.memory[self.start..self.start + self.length]
    }
}

impl From<&[f32]> for AlignedFloats {
    fn from(values: &[f32]) -> Self {
        let mut floats = Self::default();
        floats.resize(values.len(), 0);
        floats.copy_from_slice(values);
        floats
    }
}

impl Clone for AlignedFloats {
    fn clone(&self) -> Self {
        Self::from(&**self)
    }
}

impl fmt::Debug for AlignedFloats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.deref().fmt(f)
    }
}

impl PartialEq for AlignedFloats {
    fn eq(&self, other: &Self) -> bool {
        self.deref() == other.deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_aligned(floats: &AlignedFloats) {
        assert_eq!(floats.as_ptr().addr() % ALIGNMENT_BYTES, 0);
    }

    #[test]
    fn floats_of_any_number_are_aligned() {
        let mut others = Vec::new();
        for length in (1..200).chain([1_000_003]) {
            let mut floats = AlignedFloats::default();
            floats.resize(length, 0);
            assert_eq!(floats.len(), length);
            assert_aligned(&floats);
            others.push(floats);
        }
    }

    #[test]
    fn memory_is_kept_until_more_is_needed() {
        let mut floats = AlignedFloats::default();
        assert!(floats.is_empty());
        floats.resize(1_000, 0);
        let place = floats.as_ptr();
        for length in [10, 0, 1_000, 7] {
            floats.resize(length, 0);
            assert_eq!((floats.len(), floats.as_ptr()), (length, place));
        }
        floats.resize(100_000, 0);
        assert_eq!(floats.len(), 100_000);
        assert_aligned(&floats);
    }

    #[test]
    fn clone_has_the_values_and_is_aligned() {
        let mut floats = AlignedFloats::default();
        floats.resize(33, 0);
        floats[32] = 1.5;
        let clone = floats.clone();
        assert_eq!(clone, floats);
        assert_eq!(clone[32], 1.5);
        assert_aligned(&clone);
    }
}
