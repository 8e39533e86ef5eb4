//! The two splits of a job's dataset, opened and checked as the spec says.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use convoy_common::spec::{DataFiles, DataSpec, IdxPaths};

use crate::cifar::{CifarDataset, CifarVersion};
use crate::dataset::Dataset;
use crate::error::DataError;
use crate::idx::IdxDataset;
use crate::storage::NamedFile;
use crate::transform::check_normalisation;

/// The dataset of a job.
#[derive(Clone)]
pub struct Splits {
    /// What is trained on.
    pub train: Arc<dyn Dataset>,
    /// What is evaluated on.
    pub test: Arc<dyn Dataset>,
}

/// What all workers of a job must agree on before they train together.
///
/// Labels, headers and lengths enter it, pixels do not: it tells another dataset, another version or a cut file from the
/// right one in milliseconds, not a flipped bit in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// Samples of the training split.
    pub train_samples: u64,
    /// Samples of the test split.
    pub test_samples: u64,
    /// BLAKE3 over both splits' [`Dataset::index_hash`].
    pub index_hash: [u8; 32],
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = blake3::Hash::from_bytes(self.index_hash).to_hex();
        write!(
            f,
            "{} training and {} test samples, index {hash}",
            self.train_samples, self.test_samples
        )
    }
}

impl Splits {
    /// The fingerprint of both splits: the same on every machine with the same files, compressed or not.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hasher = blake3::Hasher::new_derive_key("convoy 2026 dataset fingerprint v1");
        hasher.update(&self.train.index_hash());
        hasher.update(&self.test.index_hash());
        Fingerprint {
            train_samples: self.train.len() as u64,
            test_samples: self.test.len() as u64,
            index_hash: *hasher.finalize().as_bytes(),
        }
    }
}

/// Opens both splits of `spec` for a model with `classes` classes and checks everything but the pixels.
///
/// A `.gz` file is decompressed once, beside itself; where its folder can't be written, into memory.
///
/// # Errors
/// If a file is missing, damaged or of another format, if files that belong together differ, if a label has no class, or
/// if `mean` and `std` don't fit the images. The error names the file, the numbers and what to do.
pub fn open(spec: &DataSpec, classes: u32) -> Result<Splits, DataError> {
    let splits = match &spec.files {
        DataFiles::Idx(paths) => open_idx(paths, classes)?,
        DataFiles::Cifar10 { folder } => open_cifar(CifarVersion::Cifar10, folder, classes)?,
        DataFiles::Cifar100 { folder } => open_cifar(CifarVersion::Cifar100, folder, classes)?,
    };
    check_normalisation(splits.train.shape(), &spec.mean, &spec.std)?;
    Ok(splits)
}

fn open_idx(paths: &IdxPaths, classes: u32) -> Result<Splits, DataError> {
    let named = |key, path| NamedFile { key, path };
    let train = IdxDataset::open(
        &named("data.train_images", &paths.train_images),
        &named("data.train_labels", &paths.train_labels),
        classes,
    )?;
    let test = IdxDataset::open(
        &named("data.test_images", &paths.test_images),
        &named("data.test_labels", &paths.test_labels),
        classes,
    )?;
    if train.shape() != test.shape() {
        return Err(DataError::SplitShapesDiffer {
            train_path: paths.train_images.clone(),
            train: train.shape(),
            test_path: paths.test_images.clone(),
            test: test.shape(),
        });
    }
    Ok(Splits {
        train: Arc::new(train),
        test: Arc::new(test),
    })
}

fn open_cifar(version: CifarVersion, folder: &Path, classes: u32) -> Result<Splits, DataError> {
    version.check_folder(folder)?;
    Ok(Splits {
        train: Arc::new(CifarDataset::open(
            version,
            folder,
            version.train_files(),
            classes,
        )?),
        test: Arc::new(CifarDataset::open(
            version,
            folder,
            version.test_files(),
            classes,
        )?),
    })
}
