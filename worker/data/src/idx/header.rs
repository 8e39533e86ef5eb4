//! The header of an IDX file: two zero bytes, the element type, the number of dimensions, then each dimension as a big-endian
//! u32 (<http://yann.lecun.com/exdb/mnist/>, "the IDX file format").

use crate::error::FileProblem;

/// Longest side of an image: raw bytes are kept for small images only, and a batch of larger ones as floats would not fit;
/// a larger number is a damaged header.
pub const MAX_IMAGE_SIDE_PX: u32 = 4_096;

/// IDX's code for unsigned bytes.
const UNSIGNED_BYTE: u8 = 0x08;

/// What a file is expected to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Images,
    Labels,
}

impl Content {
    /// Samples, rows and columns, or samples alone.
    fn dimensions(self) -> u8 {
        match self {
            Content::Images => 3,
            Content::Labels => 1,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Content::Images => "images",
            Content::Labels => "labels",
        }
    }

    /// Length of the header.
    pub(crate) fn header_bytes(self) -> u64 {
        4 + 4 * u64::from(self.dimensions())
    }
}

/// The dimensions of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    content: Content,
    /// At least 1.
    pub(crate) samples: u32,
    /// Rows of an image; 1 for labels.
    pub(crate) height: u32,
    /// Columns of an image; 1 for labels.
    pub(crate) width: u32,
}

impl Header {
    /// Reads the header at the start of `bytes`; anything after it is ignored.
    pub(crate) fn parse(bytes: &[u8], content: Content) -> Result<Self, FileProblem> {
        let truncated = || FileProblem::HeaderTruncated {
            expected: content.header_bytes(),
            actual: bytes.len() as u64,
        };
        let (magic, dimensions) = bytes.split_first_chunk::<4>().ok_or_else(truncated)?;
        check_magic(*magic, content)?;
        let dimension = |index: usize| {
            let bytes = dimensions.get(4 * index..4 * index + 4)?;
            Some(u32::from_be_bytes(bytes.try_into().ok()?))
        };
        let samples = dimension(0).ok_or_else(truncated)?;
        let (height, width) = match content {
            Content::Images => (
                dimension(1).ok_or_else(truncated)?,
                dimension(2).ok_or_else(truncated)?,
            ),
            Content::Labels => (1, 1),
        };
        if samples == 0 {
            return Err(FileProblem::NoSamples);
        }
        if height == 0 || width == 0 {
            return Err(FileProblem::NoPixels { height, width });
        }
        if height.max(width) > MAX_IMAGE_SIDE_PX {
            return Err(FileProblem::SideTooLarge {
                height,
                width,
                limit: MAX_IMAGE_SIDE_PX,
            });
        }
        Ok(Self {
            content,
            samples,
            height,
            width,
        })
    }

    /// Bytes of one sample, at most the square of [`MAX_IMAGE_SIDE_PX`].
    pub(crate) fn sample_bytes(&self) -> u64 {
        u64::from(self.height) * u64::from(self.width)
    }

    /// Bytes of the whole file, below 2^57.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.content.header_bytes() + u64::from(self.samples) * self.sample_bytes()
    }

    /// Whether a file with this header and `actual` bytes is whole.
    pub(crate) fn check_length(&self, actual: u64) -> Result<(), FileProblem> {
        let expected = self.file_bytes();
        if actual < expected {
            Err(FileProblem::Truncated { expected, actual })
        } else if actual > expected {
            Err(FileProblem::TrailingBytes { expected, actual })
        } else {
            Ok(())
        }
    }
}

fn check_magic(magic: [u8; 4], content: Content) -> Result<(), FileProblem> {
    let [zero, also_zero, element, dimensions] = magic;
    if zero != 0 || also_zero != 0 {
        return Err(FileProblem::NotIdx { found: magic });
    }
    if element != UNSIGNED_BYTE {
        return Err(FileProblem::ElementType { found: element });
    }
    if dimensions != content.dimensions() {
        return Err(FileProblem::Dimensions {
            content: content.name(),
            expected: content.dimensions(),
            found: dimensions,
        });
    }
    Ok(())
}
