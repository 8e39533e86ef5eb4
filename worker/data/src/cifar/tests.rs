use std::path::PathBuf;

use convoy_common::spec::DataSpec;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::splits::{Fingerprint, Splits, open};
use crate::synthetic::{write_cifar10_dataset, write_cifar100_dataset};

const RECORD: usize = 3_073;
const CLASSES: u32 = 4;

/// 13 training images (3, 2, 3, 2, 3 in the five files or so) and 6 test images.
fn small() -> (TempDir, DataSpec) {
    let folder = tempfile::tempdir().unwrap();
    let spec = write_cifar10_dataset(folder.path(), 13, 6, CLASSES, 3).unwrap();
    (folder, spec)
}

/// Writes a good dataset, changes one file and gives back what opening it says.
fn error_after(name: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
    let (folder, spec) = small();
    change_file(&folder.path().join(name), change);
    error_of(&spec, CLASSES)
}

fn change_file(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

fn error_of(spec: &DataSpec, classes: u32) -> String {
    match open(spec, classes) {
        Ok(_) => panic!("opening should fail"),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn check(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "{part:?} is missing from: {error}");
    }
}

/// All samples of files, read the simple way.
fn records(folder: &Path, names: &[&str], label_bytes: usize) -> Vec<(u32, Vec<u8>)> {
    let bytes = names
        .iter()
        .map(|name| std::fs::read(folder.join(name)).unwrap());
    let bytes: Vec<u8> = bytes.flatten().collect();
    let records = bytes.chunks(label_bytes + 3_072);
    records
        .map(|record| {
            (
                record[label_bytes - 1].into(),
                record[label_bytes..].to_vec(),
            )
        })
        .collect()
}

fn samples(dataset: &dyn Dataset) -> Vec<(u32, Vec<u8>)> {
    let sample = |index| {
        let sample = dataset.get(index).unwrap();
        (sample.label, sample.pixels.to_vec())
    };
    (0..dataset.len()).map(sample).collect()
}

#[test]
fn samples_are_those_of_the_files_in_the_order_of_their_numbers() {
    let (folder, spec) = small();
    let Splits { train, test } = open(&spec, CLASSES).unwrap();
    let names = CifarVersion::Cifar10.train_files();
    assert_eq!(samples(&*train), records(folder.path(), names, 1));
    assert_eq!(
        samples(&*test),
        records(folder.path(), &["test_batch.bin"], 1)
    );
    assert_eq!((train.len(), test.len()), (13, 6));
    assert_eq!((train.shape(), train.classes()), (CIFAR_SHAPE, CLASSES));
    let labels: Vec<u32> = samples(&*train)
        .into_iter()
        .map(|(label, _)| label)
        .collect();
    assert_eq!(labels, [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0]);
    assert!(matches!(
        train.get(13),
        Err(DataError::NoSuchSample {
            index: 13,
            samples: 13
        })
    ));
}

#[test]
fn cifar100_has_its_fine_labels() {
    let folder = tempfile::tempdir().unwrap();
    let spec = write_cifar100_dataset(folder.path(), 120, 20, 100, 3).unwrap();
    let Splits { train, test } = open(&spec, 100).unwrap();
    assert_eq!(samples(&*train), records(folder.path(), &["train.bin"], 2));
    assert_eq!(samples(&*test), records(folder.path(), &["test.bin"], 2));
    assert_eq!(train.get(99).unwrap().label, 99);
}

#[test]
fn missing_folder_is_told_with_the_name_that_it_should_have() {
    let spec = DataSpec {
        files: convoy_common::spec::DataFiles::Cifar10 {
            folder: PathBuf::from("/nowhere"),
        },
        ..small().1
    };
    assert_eq!(
        error_of(&spec, CLASSES),
        "data.folder = \"/nowhere\": there is no such folder; it must be the one that cifar-10-binary.tar.gz unpacks to, \
         cifar-10-batches-bin"
    );
}

#[test]
fn missing_file_is_named_with_the_folder_that_has_it() {
    let (folder, spec) = small();
    let file = folder.path().join("data_batch_4.bin");
    std::fs::remove_file(&file).unwrap();
    let expected = format!(
        "{file:?}, of data.folder: the file does not exist; data.folder must be the folder that cifar-10-binary.tar.gz \
         unpacks to, cifar-10-batches-bin"
    );
    assert_eq!(error_of(&spec, CLASSES), expected);
    std::fs::create_dir(&file).unwrap();
    check(
        &error_of(&spec, CLASSES),
        &["data_batch_4.bin", "no regular file"],
    );
}

#[test]
fn truncated_file_is_told_with_both_lengths() {
    check(
        &error_after("data_batch_5.bin", |bytes| bytes.truncate(RECORD + 1_000)),
        &[
            "data_batch_5.bin",
            "6146 bytes would be 2 records of 3073 bytes, 4073 are there",
        ],
    );
    check(
        &error_after("test_batch.bin", |bytes| bytes.push(0)),
        &[
            "test_batch.bin",
            "21511 bytes would be 7 records of 3073 bytes, 18439 are there",
        ],
    );
}

#[test]
fn empty_file_is_refused() {
    check(
        &error_after("data_batch_2.bin", Vec::clear),
        &["data_batch_2.bin", "it holds no samples"],
    );
}

#[test]
fn label_without_a_class_is_told_with_file_and_record() {
    check(
        &error_after("data_batch_3.bin", |bytes| bytes[RECORD] = 7),
        &[
            "data_batch_3.bin",
            "label 7 of sample 1",
            "model.classes = 4 allows 0 to 3",
        ],
    );
}

#[test]
fn label_that_the_format_does_not_have_is_told_as_damage() {
    check(
        &error_after("data_batch_3.bin", |bytes| bytes[RECORD] = 10),
        &[
            "data_batch_3.bin",
            "label 10 of record 1: CIFAR-10 has labels 0 to 9; the file is damaged",
        ],
    );
}

#[test]
fn grey_normalisation_is_refused() {
    let (_folder, spec) = small();
    let spec = DataSpec {
        mean: vec![0.5],
        ..spec
    };
    check(
        &error_of(&spec, CLASSES),
        &["data.mean has 1 values", "3 channels"],
    );
}

#[test]
fn fingerprint_is_that_of_the_files_wherever_they_are() {
    let fingerprint = |change: &dyn Fn(&Path)| -> Fingerprint {
        let (folder, spec) = small();
        change(folder.path());
        open(&spec, CLASSES).unwrap().fingerprint()
    };
    let original = fingerprint(&|_| {});
    assert_eq!(fingerprint(&|_| {}), original);
    let other_label =
        |folder: &Path| change_file(&folder.join("data_batch_1.bin"), |bytes| bytes[0] = 1);
    assert_ne!(fingerprint(&other_label), original);
    // The same records in files of other lengths.
    let moved = |folder: &Path| {
        let mut last = Vec::new();
        change_file(&folder.join("data_batch_1.bin"), |bytes| {
            last = bytes.split_off(bytes.len() - RECORD)
        });
        change_file(&folder.join("data_batch_2.bin"), |bytes| {
            bytes.splice(0..0, last);
        });
    };
    assert_ne!(fingerprint(&moved), original);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the lengths of the five files: sample `i` is record `i` of all of them one after the other.
    #[test]
    fn every_sample_is_found_in_files_of_any_length(lengths in proptest::collection::vec(1usize..6, 5)) {
        let folder = tempfile::tempdir().unwrap();
        let spec = write_cifar10_dataset(folder.path(), 5, 1, 1, 0).unwrap();
        let mut number = 0u8;
        for (name, length) in CifarVersion::Cifar10.train_files().iter().zip(&lengths) {
            let mut bytes = Vec::new();
            for _ in 0..*length {
                bytes.push(number % 10);
                bytes.extend([number; 3_072]);
                number += 1;
            }
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        let train = open(&spec, 10).unwrap().train;
        prop_assert_eq!(train.len(), usize::from(number));
        for (index, (label, pixels)) in samples(&*train).into_iter().enumerate() {
            prop_assert_eq!(label as usize, index % 10);
            prop_assert!(pixels.iter().all(|pixel| usize::from(*pixel) == index));
        }
    }

    /// Whatever a file holds: no panic, and what is accepted is readable.
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(0u8..12, 0..3 * RECORD)) {
        let (folder, spec) = small();
        std::fs::write(folder.path().join("data_batch_2.bin"), &bytes).unwrap();
        if let Ok(splits) = open(&spec, CLASSES) {
            prop_assert_eq!(bytes.len() % RECORD, 0);
            prop_assert_eq!(samples(&*splits.train).len(), splits.train.len());
        }
    }
}
