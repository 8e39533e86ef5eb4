//! A small dataset made from a seed, written as IDX or as CIFAR: for tests of every crate, where nothing may be downloaded.
//!
//! Each class is a pair of blobs, at a height and a distance from the middle of its own, on noise. Mirroring changes nothing
//! about the class, so that a CNN learns it in seconds with and without augmentation.

mod cifar;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use convoy_common::order::{SplitMix64, mix};
use convoy_common::spec::{AugmentSpec, DataFiles, DataSpec, IdxPaths};
use flate2::Compression;
use flate2::write::GzEncoder;

pub use cifar::{write_cifar10_dataset, write_cifar100_dataset};

/// What to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyntheticDataset {
    /// Samples of the training split.
    pub train_samples: u32,
    /// Samples of the test split.
    pub test_samples: u32,
    /// Rows and columns of an image, at least 8 for the classes to look different.
    pub side_px: u32,
    /// Number of classes, 1 to 256; sample `i` has class `i mod classes`.
    pub classes: u32,
    /// Determines every pixel.
    pub seed: u64,
    /// How the files are written.
    pub compression: FileCompression,
}

/// How files are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileCompression {
    /// As they are.
    Plain,
    /// As `.gz`.
    Gzip,
}

/// The four files of a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdxFiles {
    /// Training images.
    pub train_images: PathBuf,
    /// Training labels.
    pub train_labels: PathBuf,
    /// Test images.
    pub test_images: PathBuf,
    /// Test labels.
    pub test_labels: PathBuf,
}

impl IdxFiles {
    /// The files named as MNIST's in `folder`, with `suffix` after each name ("" or ".gz").
    #[must_use]
    pub fn in_folder(folder: &Path, suffix: &str) -> Self {
        let file = |name: &str| folder.join(format!("{name}{suffix}"));
        Self {
            train_images: file("train-images-idx3-ubyte"),
            train_labels: file("train-labels-idx1-ubyte"),
            test_images: file("t10k-images-idx3-ubyte"),
            test_labels: file("t10k-labels-idx1-ubyte"),
        }
    }

    /// A `[data]` section that names these files, without augmentation.
    #[must_use]
    pub fn data_spec(&self) -> DataSpec {
        DataSpec {
            files: DataFiles::Idx(IdxPaths {
                train_images: self.train_images.clone(),
                train_labels: self.train_labels.clone(),
                test_images: self.test_images.clone(),
                test_labels: self.test_labels.clone(),
            }),
            mean: vec![0.25],
            std: vec![0.25],
            augment: AugmentSpec::default(),
        }
    }
}

/// Writes plain IDX files; see [`SyntheticDataset`] for the numbers.
///
/// # Errors
/// If a file can't be written.
pub fn write_idx_dataset(
    folder: &Path,
    train_samples: u32,
    test_samples: u32,
    side_px: u32,
    classes: u32,
    seed: u64,
) -> io::Result<IdxFiles> {
    let compression = FileCompression::Plain;
    SyntheticDataset {
        train_samples,
        test_samples,
        side_px,
        classes,
        seed,
        compression,
    }
    .write(folder)
}

impl SyntheticDataset {
    /// Writes the four files into `folder`, which is created, and over what was there.
    ///
    /// # Errors
    /// If a file can't be written.
    ///
    /// # Panics
    /// If `classes` is not 1 to 256.
    pub fn write(&self, folder: &Path) -> io::Result<IdxFiles> {
        assert!(
            (1..=256).contains(&self.classes),
            "{} classes don't fit a byte",
            self.classes
        );
        std::fs::create_dir_all(folder)?;
        let suffix = match self.compression {
            FileCompression::Plain => "",
            FileCompression::Gzip => ".gz",
        };
        let files = IdxFiles::in_folder(folder, suffix);
        let seed = mix(self.seed);
        self.write_split(
            &files.train_images,
            &files.train_labels,
            self.train_samples,
            mix(seed.wrapping_add(1)),
        )?;
        self.write_split(
            &files.test_images,
            &files.test_labels,
            self.test_samples,
            mix(seed.wrapping_add(2)),
        )?;
        Ok(files)
    }

    fn write_split(&self, images: &Path, labels: &Path, samples: u32, seed: u64) -> io::Result<()> {
        let class_of = |sample: u32| sample % self.classes;
        self.write_file(images, &[samples, self.side_px, self.side_px], |file| {
            for sample in 0..samples {
                let image_seed = mix(seed.wrapping_add(u64::from(sample)));
                file.write_all(&self.image(class_of(sample), image_seed))?;
            }
            Ok(())
        })?;
        self.write_file(labels, &[samples], |file| {
            // Below 256, as there are no more classes.
            let values: Vec<u8> = (0..samples).map(|sample| class_of(sample) as u8).collect();
            file.write_all(&values)
        })
    }

    fn write_file(
        &self,
        path: &Path,
        dimensions: &[u32],
        write_samples: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut header = vec![0, 0, 0x08, dimensions.len() as u8];
        header.extend(
            dimensions
                .iter()
                .flat_map(|dimension| dimension.to_be_bytes()),
        );
        let mut file = BufWriter::new(File::create(path)?);
        match self.compression {
            FileCompression::Plain => {
                file.write_all(&header)?;
                write_samples(&mut file)?;
            }
            FileCompression::Gzip => {
                let mut encoder = GzEncoder::new(&mut file, Compression::fast());
                encoder.write_all(&header)?;
                write_samples(&mut encoder)?;
                encoder.finish()?;
            }
        }
        file.flush()
    }

    /// One image: integer arithmetic only, so that it is the same on every machine.
    fn image(&self, class: u32, seed: u64) -> Vec<u8> {
        let side = i64::from(self.side_px);
        // Classes lie on a grid: rows are heights, columns are distances from the middle.
        let columns = self.classes.isqrt().max(1);
        let rows = i64::from(self.classes.div_ceil(columns));
        let (row, column) = (i64::from(class / columns), i64::from(class % columns));
        let reach = side / 16;
        let jitter = |draw: u64| (draw % (2 * reach as u64 + 1)) as i64 - reach;
        let centre_y = (2 * row + 1) * side / (2 * rows) + jitter(mix(seed ^ 1));
        let distance = column * (side / 2 - 1) / i64::from(columns - 1).max(1);
        let middle = side / 2 + jitter(mix(seed ^ 2));
        let radius = (side / 6).max(1);
        let mut noise = SplitMix64::new(seed);
        let mut image = Vec::with_capacity((side * side) as usize);
        for y in 0..side {
            for x in 0..side {
                let across = (x - middle).abs() - distance;
                let squared = across * across + (y - centre_y) * (y - centre_y);
                let blob = (190 - 140 * squared / (radius * radius)).max(0);
                // At most 190 + 63.
                image.push((blob + (noise.draw() % 64) as i64) as u8);
            }
        }
        image
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(seed: u64, classes: u32) -> SyntheticDataset {
        let compression = FileCompression::Plain;
        SyntheticDataset {
            train_samples: 40,
            test_samples: 20,
            side_px: 12,
            classes,
            seed,
            compression,
        }
    }

    #[test]
    fn same_seed_writes_the_same_bytes_and_another_seed_others() {
        let folder = tempfile::tempdir().unwrap();
        let images = |name: &str, seed| {
            let files = dataset(seed, 10).write(&folder.path().join(name)).unwrap();
            (
                std::fs::read(files.train_images).unwrap(),
                std::fs::read(files.test_images).unwrap(),
            )
        };
        let first = images("a", 1);
        assert_eq!(first, images("b", 1));
        assert_ne!(first, images("c", 2));
        assert_ne!(first.0[16..], first.1[16..], "the splits differ");
    }

    /// The nearest mean image names the class: a CNN will find more than that.
    #[test]
    fn classes_can_be_told_apart_also_mirrored() {
        let dataset = SyntheticDataset {
            side_px: 16,
            ..dataset(3, 10)
        };
        let means: Vec<Vec<f64>> = (0..10).map(|class| mean_image(&dataset, class)).collect();
        let mut right = 0;
        for trial in 0..200u32 {
            let class = trial % 10;
            let mut image = dataset.image(class, mix(u64::from(trial) + 1_000_000));
            if trial % 20 < 10 {
                image.chunks_exact_mut(16).for_each(<[u8]>::reverse);
            }
            let distance = |mean: &Vec<f64>| -> f64 {
                mean.iter()
                    .zip(&image)
                    .map(|(a, b)| (a - f64::from(*b)).powi(2))
                    .sum()
            };
            let nearest =
                (0..10).min_by(|a, b| distance(&means[*a]).total_cmp(&distance(&means[*b])));
            right += u32::from(nearest == Some(class as usize));
        }
        assert!(right >= 190, "{right} of 200 recognised");
    }

    fn mean_image(dataset: &SyntheticDataset, class: u32) -> Vec<f64> {
        let mut mean = vec![0.0; 256];
        for seed in 0..50 {
            for (sum, byte) in mean.iter_mut().zip(dataset.image(class, mix(seed))) {
                *sum += f64::from(byte) / 50.0;
            }
        }
        mean
    }
}
