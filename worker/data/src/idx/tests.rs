use std::path::{Path, PathBuf};

use convoy_common::spec::DataSpec;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::splits::open;
use crate::synthetic::{FileCompression, IdxFiles, SyntheticDataset, write_idx_dataset};

const CLASSES: u32 = 4;

/// 12 training and 8 test images of 8 x 8 pixels.
fn small(folder: &Path) -> IdxFiles {
    write_idx_dataset(folder, 12, 8, 8, CLASSES, 5).unwrap()
}

/// Writes a good dataset, changes it and gives back what opening it says.
fn error_after(change: impl FnOnce(&IdxFiles)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let files = small(folder.path());
    change(&files);
    error_of(&files.data_spec(), CLASSES)
}

fn error_of(spec: &DataSpec, classes: u32) -> String {
    match open(spec, classes) {
        Ok(_) => panic!("opening should fail"),
        Err(error) => error.to_string(),
    }
}

fn change_bytes(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

fn set_bytes(path: &Path, start: usize, new: &[u8]) {
    change_bytes(path, |bytes| {
        bytes[start..start + new.len()].copy_from_slice(new)
    });
}

#[track_caller]
fn check(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "{part:?} is missing from: {error}");
    }
}

#[test]
fn samples_are_those_that_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let files = small(folder.path());
    let splits = open(&files.data_spec(), CLASSES).unwrap();
    let images = std::fs::read(&files.train_images).unwrap();
    assert_eq!((splits.train.len(), splits.test.len()), (12, 8));
    assert_eq!(
        splits.train.shape(),
        ImageShape {
            channels: 1,
            height: 8,
            width: 8
        }
    );
    assert_eq!(splits.train.classes(), CLASSES);
    for index in 0..12 {
        let sample = splits.train.get(index).unwrap();
        assert_eq!(
            sample.pixels,
            &images[16 + 64 * index..16 + 64 * (index + 1)]
        );
        assert_eq!(sample.label, index as u32 % CLASSES);
    }
    assert!(matches!(
        splits.train.get(12),
        Err(DataError::NoSuchSample {
            index: 12,
            samples: 12
        })
    ));
}

#[test]
fn missing_file_is_named_with_its_key_and_what_to_do() {
    let error = error_after(|files| std::fs::remove_file(&files.test_labels).unwrap());
    check(
        &error,
        &[
            "data.test_labels",
            "t10k-labels-idx1-ubyte",
            "does not exist",
            "cargo xtask quickstart",
        ],
    );
}

#[test]
fn folder_in_place_of_a_file_is_refused() {
    let error = error_after(|files| {
        std::fs::remove_file(&files.train_images).unwrap();
        std::fs::create_dir(&files.train_images).unwrap();
    });
    check(&error, &["data.train_images", "no regular file"]);
}

#[test]
fn truncated_images_are_told_with_both_sizes() {
    let error = error_after(|files| change_bytes(&files.train_images, |bytes| bytes.truncate(700)));
    check(
        &error,
        &["data.train_images", "truncated", "784 bytes", "700"],
    );
}

#[test]
fn truncated_header_is_told_with_both_sizes() {
    let cut_to = |length| {
        error_after(|files| change_bytes(&files.train_images, |bytes| bytes.truncate(length)))
    };
    check(&cut_to(15), &["truncated: 15 bytes are fewer than the 16"]);
    check(&cut_to(3), &["truncated: 3 bytes are fewer than the 16"]);
    check(&cut_to(0), &["truncated: 0 bytes are fewer than the 16"]);
}

#[test]
fn trailing_bytes_are_refused() {
    let error = error_after(|files| change_bytes(&files.test_images, |bytes| bytes.push(0)));
    check(
        &error,
        &["data.test_images", "announces 528 bytes, but 529 are there"],
    );
}

#[test]
fn wrong_magic_shows_the_bytes_found() {
    let error = error_after(|files| set_bytes(&files.train_images, 0, b"\x89PNG"));
    check(&error, &["not an IDX file", "[89, 50, 4e, 47]"]);
}

#[test]
fn gzip_under_a_plain_name_is_recognised() {
    let error = error_after(|files| set_bytes(&files.train_images, 0, &[0x1f, 0x8b, 8, 0]));
    check(&error, &["it is gzip: give it a name that ends in .gz"]);
}

#[test]
fn elements_other_than_bytes_are_refused() {
    let error = error_after(|files| set_bytes(&files.train_images, 2, &[0x0d]));
    check(&error, &["IDX type 0x0d"]);
}

#[test]
fn swapped_images_and_labels_are_recognised() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = small(folder.path());
    std::mem::swap(&mut files.train_images, &mut files.train_labels);
    check(
        &error_of(&files.data_spec(), CLASSES),
        &[
            "data.train_images",
            "1 dimensions, but images have 3",
            "swapped?",
        ],
    );
}

#[test]
fn label_out_of_range_is_named_with_its_place() {
    let error = error_after(|files| set_bytes(&files.test_labels, 8 + 5, &[4]));
    check(
        &error,
        &[
            "data.test_labels",
            "label 4 of sample 5",
            "model.classes = 4 allows 0 to 3",
        ],
    );
}

#[test]
fn fewer_labels_than_images_are_refused() {
    let error = error_after(|files| {
        change_bytes(&files.train_labels, |bytes| {
            bytes.truncate(8 + 11);
            bytes[7] = 11;
        });
    });
    check(
        &error,
        &[
            "12 images",
            "11 labels",
            "train-images-idx3-ubyte",
            "train-labels-idx1-ubyte",
        ],
    );
}

#[test]
fn empty_split_is_refused() {
    let error = error_after(|files| {
        change_bytes(&files.test_images, |bytes| {
            bytes.truncate(16);
            bytes[7] = 0;
        });
    });
    check(&error, &["data.test_images", "holds no samples"]);
}

#[test]
fn images_without_pixels_and_huge_images_are_refused() {
    let with_height =
        |height: u32| error_after(|files| set_bytes(&files.train_images, 8, &height.to_be_bytes()));
    check(&with_height(0), &["0 x 8 pixels"]);
    check(
        &with_height(5_000),
        &["5000 x 8 pixels", "sides above 4096"],
    );
    check(&with_height(u32::MAX), &["4294967295 x 8 pixels"]);
}

#[test]
fn largest_dimensions_do_not_overflow() {
    let error = error_after(|files| {
        set_bytes(
            &files.train_images,
            4,
            &[0xff, 0xff, 0xff, 0xff, 0, 0, 0x10, 0, 0, 0, 0x10, 0],
        );
    });
    let expected = 16 + u64::from(u32::MAX) * 4_096 * 4_096;
    check(&error, &["truncated", &expected.to_string(), "784"]);
}

#[test]
fn splits_of_different_shapes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = small(&folder.path().join("a"));
    let other = write_idx_dataset(&folder.path().join("b"), 4, 8, 9, CLASSES, 5).unwrap();
    files.test_images = other.test_images;
    check(
        &error_of(&files.data_spec(), CLASSES),
        &["1 x 8 x 8", "1 x 9 x 9"],
    );
}

#[test]
fn normalisation_for_other_channels_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = small(folder.path()).data_spec();
    spec.std = vec![0.2; 3];
    check(
        &error_of(&spec, CLASSES),
        &["data.std has 3 values", "1 channels"],
    );
}

#[test]
fn fingerprint_is_the_same_for_plain_and_compressed_files() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, compression| {
        let dataset = SyntheticDataset {
            train_samples: 12,
            test_samples: 8,
            side_px: 8,
            classes: CLASSES,
            seed: 5,
            compression,
        };
        let files = dataset.write(&folder.path().join(name)).unwrap();
        open(&files.data_spec(), CLASSES).unwrap().fingerprint()
    };
    let plain = write("plain", FileCompression::Plain);
    assert_eq!(plain, write("gz", FileCompression::Gzip));
    assert_eq!((plain.train_samples, plain.test_samples), (12, 8));
}

#[test]
fn fingerprint_tells_other_labels_other_counts_and_swapped_splits_apart() {
    let folder = tempfile::tempdir().unwrap();
    let files = small(folder.path());
    let print = |spec: &DataSpec| open(spec, CLASSES).unwrap().fingerprint();
    let original = print(&files.data_spec());
    let mut swapped = files.clone();
    std::mem::swap(&mut swapped.train_images, &mut swapped.test_images);
    std::mem::swap(&mut swapped.train_labels, &mut swapped.test_labels);
    assert_ne!(print(&swapped.data_spec()).index_hash, original.index_hash);
    set_bytes(&files.train_labels, 8, &[3]);
    assert_ne!(print(&files.data_spec()).index_hash, original.index_hash);
}

struct Pair {
    _folder: TempDir,
    images: PathBuf,
    labels: PathBuf,
}

fn pair(suffix: &str, images: &[u8], labels: &[u8]) -> Pair {
    let folder = tempfile::tempdir().unwrap();
    let [images_path, labels_path] =
        ["images", "labels"].map(|name| folder.path().join(format!("{name}{suffix}")));
    std::fs::write(&images_path, images).unwrap();
    std::fs::write(&labels_path, labels).unwrap();
    Pair {
        _folder: folder,
        images: images_path,
        labels: labels_path,
    }
}

/// Opens whatever it is and reads all samples: nothing may panic.
fn open_and_read(files: &Pair) -> Result<usize, DataError> {
    let images = NamedFile {
        key: "images",
        path: &files.images,
    };
    let labels = NamedFile {
        key: "labels",
        path: &files.labels,
    };
    let dataset = IdxDataset::open(&images, &labels, 10)?;
    for index in 0..dataset.len() {
        let sample = dataset.get(index)?;
        assert_eq!(sample.pixels.len(), dataset.shape().values());
        assert!(sample.label < dataset.classes());
    }
    Ok(dataset.len())
}

/// Bytes that often get past the first checks.
fn almost_idx(dimensions: u8) -> impl Strategy<Value = Vec<u8>> {
    let dimension = prop_oneof![8 => 0u32..5, 1 => any::<u32>()];
    let header = proptest::collection::vec(dimension, usize::from(dimensions));
    (
        header,
        proptest::collection::vec(0u8..12, 0..80),
        any::<Option<(u8, u8)>>(),
    )
        .prop_map(move |(header, body, damage)| {
            let mut bytes = vec![0, 0, 8, dimensions];
            bytes.extend(header.iter().flat_map(|dimension| dimension.to_be_bytes()));
            bytes.extend(body);
            if let Some((place, value)) = damage {
                let place = usize::from(place) % bytes.len();
                bytes[place] = value;
            }
            bytes
        })
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(images: Vec<u8>, labels: Vec<u8>, gz: bool) {
        let _ = open_and_read(&pair(if gz { ".gz" } else { "" }, &images, &labels));
    }

    #[test]
    fn damaged_files_never_panic(images in almost_idx(3), labels in almost_idx(1)) {
        let _ = open_and_read(&pair("", &images, &labels));
    }

    #[test]
    fn whole_files_of_any_size_open(samples in 1u32..20, height in 1u32..6, width in 1u32..6) {
        let header = [[0, 0, 8, 3], samples.to_be_bytes(), height.to_be_bytes(), width.to_be_bytes()].concat();
        let images = [header, vec![7; (samples * height * width) as usize]].concat();
        let labels = [vec![0, 0, 8, 1], samples.to_be_bytes().to_vec(), vec![9; samples as usize]].concat();
        prop_assert_eq!(open_and_read(&pair("", &images, &labels)).unwrap(), samples as usize);
    }
}
