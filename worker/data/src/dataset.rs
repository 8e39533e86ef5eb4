//! What a split of a dataset looks like to the rest, whatever its format.

use std::fmt;

use crate::error::DataError;

/// Shape of the images of a dataset, all alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageShape {
    /// Colour planes.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl ImageShape {
    /// Values of one image: channels times height times width.
    #[must_use]
    pub fn values(&self) -> usize {
        self.channels * self.height * self.width
    }
}

impl fmt::Display for ImageShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {} x {}", self.channels, self.height, self.width)
    }
}

/// One sample as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample<'a> {
    /// Channel by channel, row by row; as many as [`ImageShape::values`] says, 0 is black.
    pub pixels: &'a [u8],
    /// Class, below [`Dataset::classes`].
    pub label: u32,
}

/// A split of a dataset: a fixed number of samples with random access from any thread.
pub trait Dataset: Send + Sync {
    /// Number of samples, at least 1.
    fn len(&self) -> usize;

    /// Whether there are no samples; an opened dataset always has some.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shape of every image.
    fn shape(&self) -> ImageShape;

    /// Number of classes; every label is below it.
    fn classes(&self) -> u32;

    /// Sample `index`, `0 <= index < len()`.
    ///
    /// # Errors
    /// If there is no such sample or it can't be read.
    fn get(&self, index: usize) -> Result<Sample<'_>, DataError>;

    /// BLAKE3 over what identifies the split without reading every pixel: headers, lengths and labels.
    fn index_hash(&self) -> [u8; 32];
}
