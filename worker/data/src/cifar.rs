//! CIFAR-10 and CIFAR-100 in their binary version (<https://www.cs.toronto.edu/~kriz/cifar.html>, "Binary version").
//!
//! A file is nothing but records of the same length: one label byte (CIFAR-100: two, coarse and fine), then the red, the
//! green and the blue plane of an image of 32 x 32 pixels, row by row.

#[cfg(test)]
mod tests;

use std::path::Path;

use crate::dataset::{Dataset, ImageShape, Sample};
use crate::error::{DataError, FileProblem};
use crate::storage::{FileBytes, map_plain};

/// Shape of all images.
pub(crate) const CIFAR_SHAPE: ImageShape = ImageShape {
    channels: 3,
    height: 32,
    width: 32,
};

/// Bytes of an image.
const IMAGE_BYTES: u64 = 3 * 32 * 32;

/// Which of the two datasets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CifarVersion {
    Cifar10,
    Cifar100,
}

impl CifarVersion {
    fn name(self) -> &'static str {
        match self {
            Self::Cifar10 => "CIFAR-10",
            Self::Cifar100 => "CIFAR-100",
        }
    }

    /// The training files, in the order of their samples.
    pub(crate) fn train_files(self) -> &'static [&'static str] {
        match self {
            Self::Cifar10 => &[
                "data_batch_1.bin",
                "data_batch_2.bin",
                "data_batch_3.bin",
                "data_batch_4.bin",
                "data_batch_5.bin",
            ],
            Self::Cifar100 => &["train.bin"],
        }
    }

    /// The test files, in the order of their samples.
    pub(crate) fn test_files(self) -> &'static [&'static str] {
        match self {
            Self::Cifar10 => &["test_batch.bin"],
            Self::Cifar100 => &["test.bin"],
        }
    }

    /// Bytes of a record before its pixels; the last of them is the label.
    fn label_bytes(self) -> u64 {
        match self {
            Self::Cifar10 => 1,
            Self::Cifar100 => 2,
        }
    }

    fn record_bytes(self) -> u64 {
        self.label_bytes() + IMAGE_BYTES
    }

    /// Classes of the dataset; a model may have more.
    fn labels(self) -> u32 {
        match self {
            Self::Cifar10 => 10,
            Self::Cifar100 => 100,
        }
    }

    fn archive(self) -> &'static str {
        match self {
            Self::Cifar10 => "cifar-10-binary.tar.gz",
            Self::Cifar100 => "cifar-100-binary.tar.gz",
        }
    }

    fn unpacked(self) -> &'static str {
        match self {
            Self::Cifar10 => "cifar-10-batches-bin",
            Self::Cifar100 => "cifar-100-binary",
        }
    }

    /// Whether there is a folder at all: one mistake less that looks like a missing file.
    pub(crate) fn check_folder(self, folder: &Path) -> Result<(), DataError> {
        if folder.is_dir() {
            return Ok(());
        }
        Err(DataError::NoFolder {
            path: folder.to_path_buf(),
            archive: self.archive(),
            unpacked: self.unpacked(),
        })
    }
}

/// One split: the samples of its files, one file after the other. Images stay in the mapped files, labels are copied, so
/// that the range check holds for good.
pub(crate) struct CifarDataset {
    version: CifarVersion,
    files: Vec<RecordFile>,
    labels: Vec<u8>,
    classes: u32,
}

struct RecordFile {
    bytes: FileBytes,
    /// Number of its first sample.
    first: usize,
}

impl CifarDataset {
    /// Opens the files `names` of `folder` and checks their lengths and all labels.
    pub(crate) fn open(
        version: CifarVersion,
        folder: &Path,
        names: &[&str],
        classes: u32,
    ) -> Result<Self, DataError> {
        let mut dataset = Self {
            version,
            files: Vec::with_capacity(names.len()),
            labels: Vec::new(),
            classes,
        };
        for name in names {
            let path = folder.join(name);
            dataset
                .append(&path)
                .map_err(|problem| DataError::FileOfFolder { path, problem })?;
        }
        Ok(dataset)
    }

    fn append(&mut self, path: &Path) -> Result<(), FileProblem> {
        let version = self.version;
        let missing = FileProblem::MissingInFolder {
            archive: version.archive(),
            unpacked: version.unpacked(),
        };
        let bytes = map_plain(path).map_err(|problem| {
            if matches!(problem, FileProblem::Missing) {
                missing
            } else {
                problem
            }
        })?;
        let (actual, record_bytes) = (bytes.len(), version.record_bytes());
        let expected = actual.next_multiple_of(record_bytes);
        if actual == 0 {
            return Err(FileProblem::NoSamples);
        }
        if actual != expected {
            return Err(FileProblem::PartOfRecord {
                expected,
                actual,
                record_bytes,
            });
        }
        let first = self.labels.len();
        let label_at = version.label_bytes() as usize - 1;
        let records = bytes.slice(0, actual)?.chunks_exact(record_bytes as usize);
        self.labels.extend(records.map(|record| record[label_at]));
        check_labels(&self.labels[first..], version, self.classes)?;
        self.files.push(RecordFile { bytes, first });
        Ok(())
    }
}

fn check_labels(labels: &[u8], version: CifarVersion, classes: u32) -> Result<(), FileProblem> {
    let first_from = |bound: u32| labels.iter().position(|label| u32::from(*label) >= bound);
    if let Some(record) = first_from(version.labels()) {
        return Err(FileProblem::NoSuchLabel {
            record,
            label: labels[record],
            format: version.name(),
            largest: version.labels() - 1,
        });
    }
    match first_from(classes) {
        Some(index) => Err(FileProblem::LabelOutOfRange {
            index,
            label: labels[index],
            classes,
        }),
        None => Ok(()),
    }
}

impl Dataset for CifarDataset {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn shape(&self) -> ImageShape {
        CIFAR_SHAPE
    }

    fn classes(&self) -> u32 {
        self.classes
    }

    fn get(&self, index: usize) -> Result<Sample<'_>, DataError> {
        let no_such_sample = || DataError::NoSuchSample {
            index,
            samples: self.labels.len(),
        };
        let label = *self.labels.get(index).ok_or_else(no_such_sample)?;
        // The last file that starts at or before the sample; no file is empty.
        let after = self.files.partition_point(|file| file.first <= index);
        let file = self.files[..after].last().ok_or_else(no_such_sample)?;
        let record = (index - file.first) as u64 * self.version.record_bytes();
        // Open checked the length, so that this can't fail; an error costs nothing and beats a panic.
        let pixels = file
            .bytes
            .slice(record + self.version.label_bytes(), IMAGE_BYTES)
            .map_err(|_| no_such_sample())?;
        Ok(Sample {
            pixels,
            label: u32::from(label),
        })
    }

    fn index_hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("convoy 2026 CIFAR split v1");
        hasher.update(&self.version.record_bytes().to_le_bytes());
        hasher.update(&(self.files.len() as u64).to_le_bytes());
        for file in &self.files {
            hasher.update(&file.bytes.len().to_le_bytes());
        }
        hasher.update(&self.labels);
        *hasher.finalize().as_bytes()
    }
}
