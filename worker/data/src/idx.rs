//! Images and labels in the IDX files of MNIST and its kin.

mod header;
#[cfg(test)]
mod tests;

use crate::dataset::{Dataset, ImageShape, Sample};
use crate::error::{DataError, FileProblem};
use crate::storage::{FileBytes, NamedFile, open_bytes};

pub use header::MAX_IMAGE_SIDE_PX;
pub(crate) use header::{Content, Header};

/// One split: images stay in the mapped file, labels are copied, so that the range check holds for good.
pub(crate) struct IdxDataset {
    images: FileBytes,
    header: Header,
    labels: Box<[u8]>,
    classes: u32,
}

impl IdxDataset {
    /// Opens a pair of files and checks headers, lengths and all labels.
    pub(crate) fn open(
        images: &NamedFile<'_>,
        labels: &NamedFile<'_>,
        classes: u32,
    ) -> Result<Self, DataError> {
        let image_bytes = open_bytes(images, Content::Images)?;
        let header =
            checked_header(&image_bytes, Content::Images).map_err(|problem| problem.of(images))?;
        let label_bytes = open_bytes(labels, Content::Labels)?;
        let label_values =
            read_labels(&label_bytes, classes).map_err(|problem| problem.of(labels))?;
        if u64::from(header.samples) != label_values.len() as u64 {
            return Err(DataError::CountsDiffer {
                images_path: images.path.to_path_buf(),
                images: u64::from(header.samples),
                labels_path: labels.path.to_path_buf(),
                labels: label_values.len() as u64,
            });
        }
        Ok(Self {
            images: image_bytes,
            header,
            labels: label_values,
            classes,
        })
    }
}

/// The header of a whole file, once its length is known to be right.
pub(crate) fn checked_header(bytes: &FileBytes, content: Content) -> Result<Header, FileProblem> {
    let actual = bytes.len();
    let start = bytes.slice(0, actual.min(content.header_bytes()))?;
    let header = Header::parse(start, content)?;
    header.check_length(actual)?;
    Ok(header)
}

fn read_labels(bytes: &FileBytes, classes: u32) -> Result<Box<[u8]>, FileProblem> {
    let header = checked_header(bytes, Content::Labels)?;
    let labels = bytes.slice(Content::Labels.header_bytes(), u64::from(header.samples))?;
    match labels.iter().position(|label| u32::from(*label) >= classes) {
        Some(index) => Err(FileProblem::LabelOutOfRange {
            index,
            label: labels[index],
            classes,
        }),
        None => Ok(labels.into()),
    }
}

impl Dataset for IdxDataset {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn shape(&self) -> ImageShape {
        ImageShape {
            channels: 1,
            height: self.header.height as usize,
            width: self.header.width as usize,
        }
    }

    fn classes(&self) -> u32 {
        self.classes
    }

    fn get(&self, index: usize) -> Result<Sample<'_>, DataError> {
        let label = *self.labels.get(index).ok_or(DataError::NoSuchSample {
            index,
            samples: self.labels.len(),
        })?;
        let image_bytes = self.header.sample_bytes();
        let start = Content::Images.header_bytes() + index as u64 * image_bytes;
        // Open checked the length, so that this can't fail; an error costs nothing and beats a panic.
        let pixels =
            self.images
                .slice(start, image_bytes)
                .map_err(|_| DataError::NoSuchSample {
                    index,
                    samples: self.labels.len(),
                })?;
        Ok(Sample {
            pixels,
            label: u32::from(label),
        })
    }

    fn index_hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("convoy 2026 IDX split v1");
        for number in [self.header.samples, self.header.height, self.header.width] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(&self.images.len().to_le_bytes());
        hasher.update(&self.labels);
        *hasher.finalize().as_bytes()
    }
}
