//! Input that is wrong: the run is refused with what, where and what to do.

use std::fs;
use std::net::TcpListener;

use harness::Bench;

use super::{refused, unchanged};

#[test]
fn a_missing_data_file_is_named() {
    let bench = Bench::new();
    fs::remove_file(bench.folder.path().join("data/train-images-idx3-ubyte")).unwrap();
    refused(
        &bench,
        &bench.run(&bench.spec(1, unchanged), 2, &[]).wait(),
        &["train-images-idx3-ubyte"],
    );
}

#[test]
fn a_truncated_data_file_is_named_with_both_lengths() {
    let bench = Bench::new();
    let path = bench.folder.path().join("data/train-images-idx3-ubyte");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
    let (expected, found) = (bytes.len().to_string(), (bytes.len() - 5).to_string());
    refused(
        &bench,
        &bench.run(&bench.spec(1, unchanged), 2, &[]).wait(),
        &["train-images-idx3-ubyte", &expected, &found],
    );
}

#[test]
fn labels_beyond_the_classes_are_told() {
    let bench = Bench::new();
    let spec = bench.spec(1, |text| text.replace("classes = 4", "classes = 3"));
    refused(
        &bench,
        &bench.run(&spec, 2, &[]).wait(),
        &["labels-idx1-ubyte", "3", "set model.classes"],
    );
}

#[test]
fn a_batch_too_small_for_the_shards_is_refused() {
    let bench = Bench::new();
    let spec = bench.spec(1, |text| {
        text.replace("global_batch = 24", "global_batch = 3")
    });
    refused(
        &bench,
        &bench.run(&spec, 2, &[]).wait(),
        &["global_batch", "data_shards"],
    );
}

#[test]
fn more_workers_than_shards_are_refused() {
    let bench = Bench::new();
    refused(
        &bench,
        &bench.run(&bench.spec(1, unchanged), 3, &[]).wait(),
        &["3", "2"],
    );
}

#[test]
fn an_unknown_model_is_refused_with_place_and_nearest_name() {
    let bench = Bench::new();
    let spec = bench.spec(1, |text| text.replace("small_cnn", "small_cn"));
    refused(
        &bench,
        &bench.run(&spec, 2, &[]).wait(),
        &["tiny.toml:3:8", "small_cnn"],
    );
}

#[test]
fn a_port_in_use_is_refused_with_what_to_do() {
    let bench = Bench::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refused(
        &bench,
        &bench
            .run(&bench.spec(1, unchanged), 2, &["--listen", &address])
            .wait(),
        &[&address, "in use", "--listen"],
    );
}

#[test]
fn a_folder_that_takes_no_files_is_refused_before_anything_starts() {
    let bench = Bench::new();
    // For root too; `machine.rs` has a disk that is read-only.
    let spec = bench.spec(1, |text| {
        text.replace("folder = \"checkpoints\"", "folder = \"/proc/checkpoints\"")
    });
    refused(
        &bench,
        &bench.run(&spec, 2, &[]).wait(),
        &["/proc/checkpoints", "choose another place"],
    );
}

#[test]
fn padding_larger_than_the_images_is_refused() {
    let bench = Bench::new();
    let spec = bench.spec(1, |text| {
        text.replace(
            "std = [0.25]",
            "std = [0.25]\naugment = { crop_padding = 12 }",
        )
    });
    refused(
        &bench,
        &bench.run(&spec, 2, &[]).wait(),
        &["data.augment.crop_padding = 12", "lower it"],
    );
}
