//! The same pictures as CIFAR's binary files, in three planes.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::Path;

use convoy_common::order::mix;
use convoy_common::partition::part;
use convoy_common::spec::{AugmentSpec, DataFiles, DataSpec};

use super::{FileCompression, SyntheticDataset};
use crate::cifar::CifarVersion;

/// Fine labels of CIFAR-100 that share a coarse one.
const FINE_PER_COARSE: u32 = 5;

/// Writes the six files of CIFAR-10 into `folder`, which is created, and over what was there; gives the `[data]` section
/// that names it, without augmentation. Sample `i` of a split has class `i mod classes`; training samples are spread over
/// the five files as evenly as can be.
///
/// # Errors
/// If a file can't be written.
///
/// # Panics
/// If `classes` is not 1 to 10.
pub fn write_cifar10_dataset(
    folder: &Path,
    train_samples: u32,
    test_samples: u32,
    classes: u32,
    seed: u64,
) -> io::Result<DataSpec> {
    assert!((1..=10).contains(&classes), "{classes} classes");
    write_dataset(
        CifarVersion::Cifar10,
        folder,
        [train_samples, test_samples],
        classes,
        seed,
    )
}

/// Writes the two files of CIFAR-100, otherwise as [`write_cifar10_dataset`].
///
/// # Errors
/// If a file can't be written.
///
/// # Panics
/// If `classes` is not 1 to 100.
pub fn write_cifar100_dataset(
    folder: &Path,
    train_samples: u32,
    test_samples: u32,
    classes: u32,
    seed: u64,
) -> io::Result<DataSpec> {
    assert!((1..=100).contains(&classes), "{classes} classes");
    write_dataset(
        CifarVersion::Cifar100,
        folder,
        [train_samples, test_samples],
        classes,
        seed,
    )
}

fn write_dataset(
    version: CifarVersion,
    folder: &Path,
    samples: [u32; 2],
    classes: u32,
    seed: u64,
) -> io::Result<DataSpec> {
    std::fs::create_dir_all(folder)?;
    let seed = mix(seed);
    for (split, names) in [version.train_files(), version.test_files()]
        .into_iter()
        .enumerate()
    {
        let seed = mix(seed.wrapping_add(split as u64 + 1));
        for (index, name) in names.iter().enumerate() {
            let samples = part(u64::from(samples[split]), names.len() as u64, index as u64);
            write_file(version, &folder.join(name), samples, classes, seed)?;
        }
    }
    let folder = folder.to_path_buf();
    Ok(DataSpec {
        files: match version {
            CifarVersion::Cifar10 => DataFiles::Cifar10 { folder },
            CifarVersion::Cifar100 => DataFiles::Cifar100 { folder },
        },
        mean: vec![0.25; 3],
        std: vec![0.25; 3],
        augment: AugmentSpec::default(),
    })
}

fn write_file(
    version: CifarVersion,
    path: &Path,
    samples: Range<u64>,
    classes: u32,
    seed: u64,
) -> io::Result<()> {
    let plane = SyntheticDataset {
        train_samples: 0,
        test_samples: 0,
        side_px: 32,
        classes,
        seed: 0,
        compression: FileCompression::Plain,
    };
    let mut file = BufWriter::new(File::create(path)?);
    for sample in samples {
        // Below the number of classes, at most 100.
        let class = (sample % u64::from(classes)) as u32;
        let labels: &[u32] = match version {
            CifarVersion::Cifar10 => &[class],
            CifarVersion::Cifar100 => &[class / FINE_PER_COARSE, class],
        };
        for label in labels {
            file.write_all(&[*label as u8])?;
        }
        for channel in 0..3 {
            let seed = mix(seed.wrapping_add(3 * sample + channel));
            file.write_all(&plane.image(class, seed))?;
        }
    }
    file.flush()
}
