use std::path::Path;

use super::super::JobSpec;
use super::super::tests::{check, parse, with};
use super::*;

const ALL: [ModelName; 6] = [
    ModelName::SmallCnn,
    ModelName::Resnet18,
    ModelName::Resnet34,
    ModelName::Resnet50,
    ModelName::Resnet101,
    ModelName::Resnet152,
];

#[test]
fn every_network_is_read_by_the_name_it_shows() {
    for name in ALL {
        let spec = parse(&with("name = \"small_cnn\"", &format!("name = \"{name}\""))).unwrap();
        assert_eq!(spec.model, ModelSpec::new(name, 10));
    }
}

#[test]
fn stem_and_starting_weights_are_read() {
    let spec = parse(&with(
        "name = \"small_cnn\"",
        "name = \"resnet18\"\nstem = \"cifar\"\ninit = \"w.safetensors\"",
    ))
    .unwrap();
    assert_eq!(spec.model.stem, Stem::Cifar);
    assert_eq!(spec.model.init.as_deref(), Some(Path::new("w.safetensors")));
    let again = JobSpec::from_json(&spec.to_json().unwrap()).unwrap();
    assert_eq!(again.model, spec.model, "as a worker gets it");
}

#[test]
fn a_network_without_stem_takes_no_stem() {
    check(
        &with("classes = 10", "classes = 10\nstem = \"cifar\""),
        &["6:8 model.stem: model.name small_cnn has no stem to choose"],
    );
}

#[test]
fn misspelt_networks_and_stems_are_told_the_nearest_name() {
    check(
        &with(
            "name = \"small_cnn\"",
            "name = \"resnet-50\"\nstem = \"cifar10\"",
        ),
        &[
            "4:8 model.name: unknown name \"resnet-50\"; did you mean \"resnet50\"?",
            "5:8 model.stem: unknown name \"cifar10\"; did you mean \"cifar\"?",
        ],
    );
}

#[test]
fn an_empty_path_of_starting_weights_is_refused() {
    check(
        &with("classes = 10", "classes = 10\ninit = \"\""),
        &["6:8 model.init: must not be empty"],
    );
}

#[test]
fn images_that_small_cnn_cannot_halve_twice_are_refused() {
    let small = ModelSpec::new(ModelName::SmallCnn, 10);
    assert_eq!(small.check_images(4, 4), Ok(()));
    assert_eq!(
        small.check_images(8, 3).unwrap_err().to_string(),
        "small_cnn needs images of at least 4x4 pixels, the dataset has 8x3; take a dataset with larger images or another \
         model.name"
    );
    let deep = ModelSpec::new(ModelName::Resnet18, 10);
    assert_eq!(deep.check_images(1, 1), Ok(()));
}
