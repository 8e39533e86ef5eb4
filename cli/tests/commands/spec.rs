//! `convoy validate` and `convoy schema`.

use std::fs;
use std::path::Path;

use convoy_data::synthetic::write_idx_dataset;

use crate::fixture::Place;

#[test]
fn valid_spec_is_confirmed_with_its_numbers() {
    let place = Place::new();
    let ran = place.convoy(&["validate", "job.toml", "--workers", "2"]);
    assert_eq!(
        ran.out,
        "job.toml is valid: job shapes, 2 epochs of 5 steps, 2 data shards, 320 training and 40 test samples\n"
    );
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
}

#[test]
fn examples_stay_valid() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples");
    let mut checked = 0;
    for entry in fs::read_dir(examples).unwrap() {
        let file = entry.unwrap().path();
        // Configurations of the other programs, which their own tests check.
        if ["agent.toml", "coordinator.toml"]
            .iter()
            .any(|name| file.ends_with(name))
        {
            continue;
        }
        let ran = Place::new().convoy(&[
            "validate",
            file.to_str().unwrap(),
            "--no-data",
            "--workers",
            "2",
        ]);
        assert_eq!(
            (ran.code, ran.err.as_str()),
            (Some(0), ""),
            "{}",
            file.display()
        );
        checked += 1;
    }
    assert!(checked >= 2, "{checked} examples");
}

#[test]
fn relative_paths_start_from_the_folder_of_the_spec() {
    let place = Place::new();
    fs::create_dir(place.path().join("specs")).unwrap();
    let spec = fs::read_to_string(place.path().join("job.toml")).unwrap();
    fs::write(
        place.path().join("specs/job.toml"),
        spec.replace("data/", "../data/"),
    )
    .unwrap();
    let ran = place.convoy(&["validate", "specs/job.toml"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
}

#[test]
fn spec_can_be_checked_where_its_data_is_not() {
    let place = Place::new();
    fs::remove_dir_all(place.path().join("data")).unwrap();
    let ran = place.convoy(&["validate", "job.toml", "--no-data"]);
    assert_eq!(
        ran.out,
        "job.toml is valid: job shapes, 2 epochs, 2 data shards; data not checked\n"
    );
    assert_eq!(ran.code, Some(0));
}

#[test]
fn mistyped_key_is_shown_with_its_place_and_the_nearest_name() {
    let place = Place::new().with("global_batch = 64", "globl_batch = 64");
    let ran = place.convoy(&["validate", "job.toml"]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.err
            .starts_with("error: job.toml:18:1: training.globl_batch: "),
        "{}",
        ran.err
    );
    assert!(
        ran.err.contains("18 | globl_batch = 64\n   | ^^^^^^^^^^^"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("global_batch"), "{}", ran.err);
}

#[test]
fn unknown_model_is_an_error() {
    let place = Place::new().with("\"small_cnn\"", "\"small_cn\"");
    let ran = place.convoy(&["validate", "job.toml"]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.err.starts_with("error: job.toml:4:8: model.name: "),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("small_cnn"), "{}", ran.err);
}

#[test]
fn missing_spec_is_named() {
    Place::new().refuses(
        &["validate", "other.toml"],
        1,
        "error: cannot read the job spec other.toml\n  because: No such file or directory (os error 2)",
    );
}

#[test]
fn more_workers_than_shards_are_refused_with_both_numbers() {
    Place::new().refuses(
        &["validate", "job.toml", "--workers", "3"],
        2,
        "error: more workers than data shards: 3 workers cannot share 2 data shards, each needs one of its own; \
         use at most 2 workers or raise training.data_shards and elastic.max_workers",
    );
}

#[test]
fn batch_that_is_too_small_for_the_shards_is_refused() {
    // 320 samples make 81 steps, of which the smallest has 3.
    let place = Place::new().with("global_batch = 64", "global_batch = 4");
    let images = fs::read(place.path().join("data/train-images-idx3-ubyte")).unwrap();
    let labels = fs::read(place.path().join("data/train-labels-idx1-ubyte")).unwrap();
    let shorten = |bytes: &[u8], end: usize| {
        let mut bytes = bytes[..end].to_vec();
        bytes[4..8].copy_from_slice(&319u32.to_be_bytes());
        bytes
    };
    fs::write(
        place.path().join("data/train-images-idx3-ubyte"),
        shorten(&images, 16 + 319 * 144),
    )
    .unwrap();
    fs::write(
        place.path().join("data/train-labels-idx1-ubyte"),
        shorten(&labels, 8 + 319),
    )
    .unwrap();
    let ran = place.convoy(&["validate", "job.toml"]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.err.starts_with("error: 319 samples in batches of 4 make 80 steps per epoch, the smallest with 3 samples"),
        "{}",
        ran.err
    );
}

#[test]
fn missing_data_file_is_named_with_its_key() {
    let place = Place::new();
    let file = place.path().join("data/train-labels-idx1-ubyte");
    fs::remove_file(&file).unwrap();
    place.refuses(
        &["validate", "job.toml"],
        1,
        &format!(
            "error: data.train_labels = {file:?}: the file does not exist; run `cargo xtask quickstart` to fetch the \
             dataset of the examples, or correct the path"
        ),
    );
}

#[test]
fn cifar_is_read_from_a_folder_beside_the_spec() {
    let ran = Place::of_cifar().convoy(&["validate", "specs/job.toml"]);
    assert_eq!(
        ran.out,
        "specs/job.toml is valid: job shapes, 2 epochs of 5 steps, 2 data shards, 320 training and 40 test samples\n"
    );
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
}

#[test]
fn truncated_cifar_file_is_named_with_both_lengths() {
    let place = Place::of_cifar();
    let file = place.path().join("specs/cifar/data_batch_2.bin");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 100]).unwrap();
    let file = file.canonicalize().unwrap();
    place.refuses(
        &["validate", "specs/job.toml"],
        1,
        &format!(
            "error: {file:?}, of data.folder: truncated: 196672 bytes would be 64 records of 3073 bytes, 196572 are \
             there; fetch it again"
        ),
    );
}

#[test]
fn files_of_another_format_are_shown_with_their_place() {
    let place = Place::new().with("format = \"idx\"", "format = \"cifar10\"");
    let ran = place.convoy(&["validate", "job.toml"]);
    assert_eq!(ran.code, Some(2));
    for part in [
        "data.folder: this key is missing",
        "9 | train_images = \"data/train-images-idx3-ubyte\"\n  | ^^^^^^^^^^^^",
        "= valid keys with format = \"cifar10\": augment, folder, format, mean, std",
    ] {
        assert!(ran.err.contains(part), "{}", ran.err);
    }
}

#[test]
fn truncated_images_are_found_before_anything_starts() {
    let place = Place::new();
    let file = place.path().join("data/t10k-images-idx3-ubyte");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 100]).unwrap();
    place.refuses(
        &["validate", "job.toml"],
        1,
        &format!(
            "error: data.test_images = {file:?}: truncated: the header announces 5776 bytes, 5676 are there; fetch it again"
        ),
    );
}

#[test]
fn labels_out_of_range_are_found_before_anything_starts() {
    let place = Place::new().with("classes = 10", "classes = 9");
    let file = place.path().join("data/train-labels-idx1-ubyte");
    place.refuses(
        &["validate", "job.toml"],
        1,
        &format!(
            "error: data.train_labels = {file:?}: label 9 of sample 9 is out of range: model.classes = 9 allows 0 to 8; set \
             model.classes to the number of classes in the data, or correct the file"
        ),
    );
}

#[test]
fn padding_that_could_crop_the_whole_image_away_is_found_before_anything_starts() {
    Place::new()
        .with("std = [0.25]", "std = [0.25]\naugment = { crop_padding = 12 }")
        .refuses(
            &["validate", "job.toml"],
            1,
            "error: data.augment.crop_padding = 12 is not smaller than the sides of the images (1 x 12 x 12): a crop could hold \
             nothing of the image; lower it",
        );
}

#[test]
fn images_that_are_too_small_for_the_network_are_found_before_anything_starts() {
    let place = Place::new();
    write_idx_dataset(&place.path().join("data"), 320, 40, 3, 10, 7).unwrap();
    place.refuses(
        &["validate", "job.toml"],
        1,
        "error: small_cnn needs images of at least 4x4 pixels, the dataset has 3x3; take a dataset with larger images or \
         another model.name",
    );
}

/// A safetensors file of a last layer of `small_cnn` for 7 classes.
fn head_for_7_classes() -> Vec<u8> {
    let header = r#"{"fc2.weight":{"dtype":"F32","shape":[7,2],"data_offsets":[0,56]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + 56, 0);
    bytes
}

#[test]
fn starting_weights_are_told_with_the_head_that_starts_anew() {
    let place = Place::new().with("classes = 10", "classes = 10\ninit = \"w.safetensors\"");
    let file = place.path().join("w.safetensors");
    fs::write(&file, head_for_7_classes()).unwrap();
    let ran = place.convoy(&["validate", "job.toml"]);
    let expected = format!(
        "weights: start from {}, 1 tensor; the last layer starts anew, as the file has 7 classes and model.classes is 10\n",
        file.canonicalize().unwrap().display()
    );
    assert_eq!(ran.err, "");
    assert!(ran.out.ends_with(&expected), "{}", ran.out);
}

#[test]
fn starting_weights_that_cannot_be_read_are_found_before_anything_starts() {
    let place = Place::new().with("classes = 10", "classes = 10\ninit = \"w.safetensors\"");
    let file = place.path().join("w.safetensors");
    let shown = place.path().canonicalize().unwrap().join("w.safetensors");
    let shown = shown.display();
    place.refuses(
        &["validate", "job.toml"],
        1,
        &format!(
            "error: model.init can't be used\n  because: cannot read weights {shown}: No such file or directory (os error 2)"
        ),
    );
    fs::write(&file, &head_for_7_classes()[..100]).unwrap();
    place.refuses(
        &["validate", "job.toml"],
        1,
        &format!(
            "error: model.init can't be used\n  because: {shown} is not readable as safetensors: its header describes 130 \
             bytes and it has 100 bytes"
        ),
    );
    let ran = place.convoy(&["validate", "job.toml", "--no-data"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
}

#[test]
fn schema_describes_every_section() {
    let ran = Place::new().convoy(&["schema"]);
    assert_eq!(ran.code, Some(0));
    let schema: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let sections = schema["properties"].as_object().unwrap();
    for section in [
        "name",
        "model",
        "data",
        "training",
        "optimizer",
        "schedule",
        "elastic",
        "checkpoints",
        "env",
    ] {
        assert!(sections.contains_key(section), "{section}");
    }
    assert_eq!(schema["additionalProperties"], false);
}
