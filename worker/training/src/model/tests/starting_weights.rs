//! Files that a model starts from, and files that it refuses.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use convoy_checkpoint::{Dtype, SliceIdentity, TensorView, write_slice};
use convoy_common::ids::{Attempt, EpochIndex, Generation, JobId, Rank, StepIndex};
use convoy_common::spec::{ModelName, ModelSpec, Stem};
use convoy_data::ImageShape;
use tch::{Kind, Tensor};
use tempfile::TempDir;

use super::super::{Model, ModelError, NewHead, build};
use crate::snapshot::HostTensor;
use crate::tests::trainer_of;

const SHAPE: ImageShape = ImageShape {
    channels: 1,
    height: 8,
    width: 8,
};
const CLASSES: u32 = 4;

fn small_cnn(classes: u32, init: Option<PathBuf>) -> ModelSpec {
    ModelSpec {
        init,
        ..ModelSpec::new(ModelName::SmallCnn, classes)
    }
}

/// Parameters, buffers and counters of a model by their own names.
fn state_of(spec: &ModelSpec) -> Vec<HostTensor> {
    let snapshot = trainer_of(spec.clone(), SHAPE, 0.1).snapshot().unwrap();
    let bare = |tensor: HostTensor| {
        let name = tensor.name.strip_prefix("model.")?.to_owned();
        Some(HostTensor { name, ..tensor })
    };
    snapshot.tensors.into_iter().filter_map(bare).collect()
}

/// A file of `tensors`, and the folder that it is gone with.
fn write(tensors: &[HostTensor]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let identity = SliceIdentity {
        job: JobId::try_from("w-1".to_owned()).unwrap(),
        step: StepIndex(0),
        epoch: EpochIndex(0),
        generation: Generation(1),
        attempt: Attempt::default(),
        rank: Rank(0),
        world: 1,
    };
    let views: Vec<TensorView<'_>> = tensors.iter().map(HostTensor::view).collect();
    write_slice(folder.path(), &identity, &views, &BTreeMap::new()).unwrap();
    let path = folder.path().join(identity.file_name());
    (folder, path)
}

fn tensor(model: &Model, name: &str) -> Tensor {
    let mut state = model.registry.state();
    let entry = state.find(|entry| entry.name == name).unwrap();
    entry.tensor.unwrap().shallow_clone()
}

fn refused(spec: &ModelSpec) -> String {
    let error: ModelError = build(spec, SHAPE, 1).err().unwrap();
    error.to_string()
}

fn reason(tensors: &[HostTensor]) -> String {
    let (folder, path) = write(tensors);
    let text = refused(&small_cnn(CLASSES, Some(path)));
    text.replace(&format!("{}/", folder.path().display()), "")
}

/// As another type, with the values rounded to it.
fn convert(tensor: &HostTensor, dtype: Dtype, kind: Kind) -> HostTensor {
    let shape: Vec<i64> = tensor.shape.iter().map(|side| *side as i64).collect();
    let values = Tensor::from_data_size(&tensor.bytes, &shape, Kind::Float).to_kind(kind);
    let mut bytes = vec![0; values.numel() * dtype.bytes()];
    values.copy_data_u8(&mut bytes, values.numel());
    HostTensor {
        dtype,
        bytes,
        ..tensor.clone()
    }
}

#[test]
fn a_model_starts_from_exported_weights_whatever_its_seed() {
    let state = state_of(&small_cnn(CLASSES, None));
    let (_folder, path) = write(&state);
    let spec = small_cnn(CLASSES, Some(path.clone()));
    let model = build(&spec, SHAPE, 12345).unwrap();
    let start = model.start.unwrap();
    assert_eq!((start.file, start.tensors), (path, 14));
    assert_eq!(start.new_head, None);
    assert_eq!(state_of(&spec), state);
}

#[test]
fn the_digest_of_ready_tells_other_starting_weights() {
    let digest = |spec: &ModelSpec| {
        let trainer = trainer_of(spec.clone(), SHAPE, 0.1);
        trainer.snapshot().unwrap().state_sha256()
    };
    let mut state = state_of(&small_cnn(CLASSES, None));
    let (_one, path) = write(&state);
    let own = digest(&small_cnn(CLASSES, Some(path.clone())));
    assert_eq!(digest(&small_cnn(CLASSES, Some(path))), own);
    // One bit of one running statistic.
    let last = state.iter_mut().rfind(|t| t.name == "bn2.running_var");
    last.unwrap().bytes[0] ^= 1;
    let (_other, path) = write(&state);
    assert_ne!(digest(&small_cnn(CLASSES, Some(path))), own);
}

#[test]
fn counters_of_batches_may_be_missing() {
    let mut state = state_of(&small_cnn(CLASSES, None));
    state.retain(|tensor| !tensor.name.ends_with("num_batches_tracked"));
    let (_folder, path) = write(&state);
    build(&small_cnn(CLASSES, Some(path)), SHAPE, 1).unwrap();
}

#[test]
fn a_head_for_other_classes_starts_anew_and_the_rest_is_taken() {
    for (name, layer, tensors) in [
        (ModelName::SmallCnn, "fc2", 12),
        (ModelName::Resnet18, "fc", 100),
    ] {
        let spec = |classes, init| ModelSpec {
            init,
            ..ModelSpec::new(name, classes)
        };
        let (_folder, path) = write(&state_of(&spec(7, None)));
        let model = build(&spec(CLASSES, Some(path)), SHAPE, 1).unwrap();
        let start = model.start.as_ref().unwrap();
        let expected = NewHead {
            layer,
            found: 7,
            classes: 4,
        };
        assert_eq!(start.new_head, Some(expected));
        assert_eq!(start.tensors, tensors);
        let drawn = build(&spec(CLASSES, None), SHAPE, 1).unwrap();
        let head = format!("{layer}.weight");
        assert_eq!(tensor(&model, &head), tensor(&drawn, &head));
    }
}

#[test]
fn half_precision_becomes_f32() {
    for (dtype, kind) in [(Dtype::F16, Kind::Half), (Dtype::Bf16, Kind::BFloat16)] {
        let mut state = state_of(&small_cnn(CLASSES, None));
        for tensor in &mut state {
            if tensor.dtype == Dtype::F32 {
                *tensor = convert(tensor, dtype, kind);
            }
        }
        let (_folder, path) = write(&state);
        let model = build(&small_cnn(CLASSES, Some(path)), SHAPE, 5).unwrap();
        let (found, full) = (
            tensor(&model, "conv2.weight"),
            build(&small_cnn(CLASSES, None), SHAPE, 7).unwrap(),
        );
        assert_eq!(found.kind(), Kind::Float);
        let expected = tensor(&full, "conv2.weight");
        assert_eq!(found, expected.to_kind(kind).to_kind(Kind::Float));
    }
}

#[test]
fn other_differences_are_named_with_both_sides_and_what_to_do() {
    let mut state = state_of(&small_cnn(CLASSES, None));
    let conv2 = state.iter_mut().find(|t| t.name == "conv2.weight").unwrap();
    conv2.shape = vec![32, 64, 3, 3];
    let fc1 = state.iter_mut().find(|t| t.name == "fc1.bias").unwrap();
    *fc1 = convert(fc1, Dtype::F64, Kind::Double);
    let bn1 = state.iter_mut().find(|t| t.name == "bn1.weight").unwrap();
    bn1.name = "norm.weight".to_owned();
    assert_eq!(
        reason(&state),
        "model.init: slice-g000001-a0.0-r0000-of-0001.safetensors does not fit model.name small_cnn with 4 classes: \
         bn1.weight, F32 [32], is missing in the file; \
         conv2.weight is F32 [32, 64, 3, 3] in the file and F32 [64, 32, 3, 3] in the model; \
         fc1.bias is F64 [256] in the file and F32 [256] in the model; \
         norm.weight, F32 [32], is only in the file; \
         name the network that the file is of in model.name and model.stem, use images of as many channels, or leave \
         model.init out"
    );
}

#[test]
fn a_file_of_another_network_names_five_differences_and_counts_the_rest() {
    let text = reason(&state_of(&ModelSpec::new(ModelName::Resnet18, CLASSES)));
    let shown = text.matches(" in the model; ").count() + text.matches(" in the file; ").count();
    assert_eq!(shown, 5, "{text}");
    assert!(text.contains("; and 125 more differences; name"), "{text}");
}

#[test]
fn names_with_a_prefix_are_told_to_lose_it() {
    let mut state = state_of(&small_cnn(CLASSES, None));
    for tensor in &mut state {
        tensor.name.insert_str(0, "module.");
    }
    let text = reason(&state);
    assert!(
        text.ends_with("; save it without \"module.\" before its names"),
        "{text}"
    );
}

#[test]
fn weights_that_are_not_finite_are_refused() {
    let mut state = state_of(&small_cnn(CLASSES, None));
    let conv2 = state.iter_mut().find(|t| t.name == "conv2.weight").unwrap();
    conv2.bytes[8..12].copy_from_slice(&f32::NAN.to_le_bytes());
    let text = reason(&state);
    assert!(
        text.contains("values in conv2.weight that are not finite"),
        "{text}"
    );
}

#[test]
fn a_file_that_is_cut_or_absent_says_so() {
    let (folder, path) = write(&state_of(&small_cnn(CLASSES, None)));
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let text = refused(&small_cnn(CLASSES, Some(path)));
    assert!(
        text.starts_with("model.init: ") && text.contains("is not readable as safetensors"),
        "{text}"
    );
    let text = refused(&small_cnn(CLASSES, Some(folder.path().join("none"))));
    assert!(text.contains("none"), "{text}");
}

#[test]
fn the_stem_of_a_file_must_be_the_models() {
    let colour = ImageShape {
        channels: 3,
        ..SHAPE
    };
    let imagenet = ModelSpec::new(ModelName::Resnet18, CLASSES);
    let (_folder, path) = write(&state_of(&imagenet));
    let spec = ModelSpec {
        stem: Stem::Cifar,
        init: Some(path.clone()),
        ..imagenet.clone()
    };
    let text = refused(&spec);
    assert!(
        text.contains(
            "conv1.weight is F32 [64, 1, 7, 7] in the file and F32 [64, 1, 3, 3] in the model; name"
        ),
        "{text}"
    );
    let spec = ModelSpec {
        init: Some(path),
        ..imagenet
    };
    let text = build(&spec, colour, 1).err().unwrap().to_string();
    assert!(
        text.contains("[64, 1, 7, 7] in the file and F32 [64, 3, 7, 7]"),
        "{text}"
    );
}
