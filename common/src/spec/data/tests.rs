use std::path::Path;

use serde_json::json;

use super::*;
use crate::spec::{JobSpec, Problem, json_schema};

/// A spec with these lines under `[data]`, the first of them line 6.
fn source(data: &str) -> String {
    format!(
        r#"name = "pictures"
model = {{ name = "small_cnn", classes = 10 }}
training = {{ epochs = 5, global_batch = 128 }}
optimizer = {{ name = "sgd", learning_rate = 0.1 }}
[data]
{data}
[checkpoints]
folder = "checkpoints"
"#
    )
}

const CIFAR10: &str = r#"format = "cifar10"
folder = "data/cifar-10-batches-bin"
mean = [0.4914, 0.4822, 0.4465]
std = [0.2470, 0.2435, 0.2616]"#;

const IDX: &str = r#"format = "idx"
train_images = "a"
train_labels = "b"
test_images = "c"
test_labels = "d"
mean = [0.3]
std = [0.3]"#;

fn read(data: &str) -> JobSpec {
    JobSpec::parse(&source(data), "job.toml").unwrap()
}

#[track_caller]
fn check(data: &str, expected: &[&str]) {
    let errors = JobSpec::parse(&source(data), "job.toml").unwrap_err();
    let line = |problem: &Problem| {
        let place = problem.place.as_ref().unwrap();
        format!(
            "{}:{} {}: {}",
            place.line, place.column, problem.path, problem.reason
        )
    };
    assert_eq!(
        errors.problems().iter().map(line).collect::<Vec<_>>(),
        expected
    );
}

#[test]
fn each_format_reads_its_own_keys() {
    let folder = || "data/cifar-10-batches-bin".into();
    assert_eq!(
        read(CIFAR10).data.files,
        DataFiles::Cifar10 { folder: folder() }
    );
    let cifar100 = CIFAR10.replace("cifar10", "cifar100");
    assert_eq!(
        read(&cifar100).data.files,
        DataFiles::Cifar100 { folder: folder() }
    );
    let idx = IdxPaths {
        train_images: "a".into(),
        train_labels: "b".into(),
        test_images: "c".into(),
        test_labels: "d".into(),
    };
    assert_eq!(read(IDX).data.files, DataFiles::Idx(idx));
}

#[test]
fn a_missing_key_is_one_of_the_format() {
    check(
        &CIFAR10.replace("folder = \"data/cifar-10-batches-bin\"\n", ""),
        &["5:1 data.folder: this key is missing"],
    );
    check(
        &IDX.replace("test_images = \"c\"\n", ""),
        &["5:1 data.test_images: this key is missing"],
    );
}

#[test]
fn a_key_of_another_format_is_told_where_it_goes() {
    check(
        &format!("{CIFAR10}\ntrain_images = \"a\""),
        &["10:1 data.train_images: goes with format = \"idx\", not with \"cifar10\""],
    );
    let errors =
        JobSpec::parse(&source(&format!("{IDX}\nfolder = \"a\"")), "job.toml").unwrap_err();
    let expected = r#"job.toml:13:1: data.folder: goes with format = "cifar10" or "cifar100", not with "idx"
13 | folder = "a"
   | ^^^^^^
   = valid keys with format = "idx": augment, format, mean, std, test_images, test_labels, train_images, train_labels"#;
    assert_eq!(errors.to_string(), expected);
}

#[test]
fn files_of_one_format_under_the_name_of_another_are_all_told() {
    check(
        &IDX.replace("\"idx\"", "\"cifar10\""),
        &[
            "5:1 data.folder: this key is missing",
            "7:1 data.train_images: goes with format = \"idx\", not with \"cifar10\"",
            "8:1 data.train_labels: goes with format = \"idx\", not with \"cifar10\"",
            "9:1 data.test_images: goes with format = \"idx\", not with \"cifar10\"",
            "10:1 data.test_labels: goes with format = \"idx\", not with \"cifar10\"",
        ],
    );
}

#[test]
fn the_nearest_key_is_one_of_the_format() {
    check(
        &CIFAR10.replace("folder", "foldr"),
        &["7:1 data.foldr: unknown key; did you mean `folder`?"],
    );
    check(
        &format!("{CIFAR10}\ntrain_image = \"a\""),
        &["10:1 data.train_image: unknown key"],
    );
}

#[test]
fn without_a_known_format_no_key_of_files_is_missing_or_refused() {
    check(
        &CIFAR10.replace("cifar10", "cifar"),
        &["6:10 data.format: unknown name \"cifar\"; did you mean \"cifar10\"?"],
    );
    check(
        &CIFAR10.replace("format = \"cifar10\"\n", ""),
        &["5:1 data.format: this key is missing"],
    );
    check(
        &CIFAR10.replace("\"cifar10\"", "10"),
        &["6:10 data.format: must be a string, one of idx, cifar10, cifar100, is a whole number"],
    );
}

#[test]
fn paths_and_ranges_are_checked_in_every_format() {
    check(
        &CIFAR10.replace("\"data/cifar-10-batches-bin\"", "\"\""),
        &["7:10 data.folder: must not be empty"],
    );
    check(
        &CIFAR10.replace("0.4914", "1.5"),
        &["8:9 data.mean[0]: must be from 0.0 to 1.0, is 1.5"],
    );
}

#[test]
fn the_folder_is_resolved_against_that_of_the_spec() {
    let mut spec = read(CIFAR10);
    spec.resolve_paths(Path::new("/jobs"));
    let folder = "/jobs/data/cifar-10-batches-bin".into();
    assert_eq!(spec.data.files, DataFiles::Cifar10 { folder });
}

#[test]
fn the_wire_form_has_the_keys_of_the_format_alone() {
    for (data, keys) in [
        (CIFAR10, vec!["augment", "folder", "format", "mean", "std"]),
        (
            IDX,
            vec![
                "augment",
                "format",
                "mean",
                "std",
                "test_images",
                "test_labels",
                "train_images",
                "train_labels",
            ],
        ),
    ] {
        let spec = read(data);
        let json = spec.to_json().unwrap();
        assert_eq!(JobSpec::from_json(&json).unwrap(), spec);
        let value: Value = serde_json::from_str(&json).unwrap();
        let mut found: Vec<_> = value["data"].as_object().unwrap().keys().cloned().collect();
        found.sort();
        assert_eq!(found, keys);
    }
}

#[test]
fn json_with_the_keys_of_another_format_is_refused() {
    let json = |change: &dyn Fn(&mut Map<String, Value>)| {
        let mut value: Value = serde_json::from_str(&read(CIFAR10).to_json().unwrap()).unwrap();
        change(value["data"].as_object_mut().unwrap());
        JobSpec::from_json(&value.to_string())
            .unwrap_err()
            .to_string()
    };
    let missing = json(&|data| drop(data.remove("folder")));
    assert!(
        missing.contains("data.folder is missing, which format \"cifar10\" needs"),
        "{missing}"
    );
    let misplaced = json(&|data| drop(data.insert("test_labels".to_owned(), "d".into())));
    assert!(
        misplaced.contains("data.test_labels does not go with format \"cifar10\""),
        "{misplaced}"
    );
    let empty = json(&|data| drop(data.insert("folder".to_owned(), "".into())));
    assert!(empty.contains("data.folder: must not be empty"), "{empty}");
}

#[test]
fn the_schema_says_which_keys_go_with_which_format() {
    let data = &json_schema()["properties"]["data"];
    assert_eq!(data["required"], json!(["format", "mean", "std"]));
    assert_eq!(data["additionalProperties"], json!(false));
    let names: Vec<&Value> = data["properties"]["format"]["oneOf"]
        .as_array()
        .unwrap()
        .iter()
        .map(|variant| &variant["const"])
        .collect();
    assert_eq!(names, DataFormat::ALL.map(DataFormat::name));
    assert_eq!(
        data["allOf"][1],
        json!({
            "if": { "properties": { "format": { "const": "cifar10" } }, "required": ["format"] },
            "then": {
                "required": ["folder"],
                "properties": {
                    "train_images": false, "train_labels": false, "test_images": false, "test_labels": false,
                },
            },
        })
    );
}
