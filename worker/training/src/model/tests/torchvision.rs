//! Convoy's ResNets beside torchvision's own, where Python has it: weights go both ways and give the same scores.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use convoy_checkpoint::{
    Digest, FORMAT_VERSION, Manifest, Overwrite, SliceIdentity, WeightsFile, export,
    write_manifest, write_slice,
};
use convoy_common::ids::{Attempt, EpochIndex, Generation, JobId, Rank, StepIndex};
use convoy_common::spec::{ModelName, ModelSpec};
use convoy_data::ImageShape;
use tch::{Kind, Tensor};

use super::super::{Model, Pass, build, signed};
use crate::snapshot::HostTensor;
use crate::tests::trainer_of;

const NETWORKS: [ModelName; 2] = [ModelName::Resnet18, ModelName::Resnet50];
const CLASSES: u32 = 10;
const TOLERANCE: f64 = 1e-4;
const SHAPE: ImageShape = ImageShape {
    channels: 3,
    height: 64,
    width: 64,
};

/// The script's exit status where an import fails.
const NOTHING_TO_COMPARE_WITH: i32 = 77;

/// Runs the script with `CONVOY_PYTHON`, which must have what it imports, or with `python3`, which may. Says whether it ran.
fn torchvision_answers(folder: &Path) -> bool {
    let named = std::env::var_os("CONVOY_PYTHON").map(PathBuf::from);
    let python = named.clone().unwrap_or_else(|| "python3".into());
    let ran = Command::new(&python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/compare.py"))
        .arg(folder)
        .args(NETWORKS.map(ModelName::as_str))
        .output();
    let has_nothing = match &ran {
        Ok(ran) => ran.status.code() == Some(NOTHING_TO_COMPARE_WITH),
        Err(_) => true,
    };
    if has_nothing && named.is_none() {
        return false;
    }
    let ran = ran.unwrap_or_else(|error| panic!("CONVOY_PYTHON {}: {error}", python.display()));
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{}: {said}", python.display());
    true
}

/// Writes the network's initial state as a checkpoint of one rank and exports that, as `convoy checkpoint export` does.
fn export_initial(spec: &ModelSpec, folder: &Path) {
    let identity = SliceIdentity {
        job: JobId::try_from(format!("{}-1", spec.name)).unwrap(),
        step: StepIndex(0),
        epoch: EpochIndex(0),
        generation: Generation(1),
        attempt: Attempt {
            term: 1,
            counter: 1,
        },
        rank: Rank(0),
        world: 1,
    };
    let checkpoint = folder.join(format!("{}.checkpoint", spec.name));
    let state = trainer_of(spec.clone(), SHAPE, 0.1).snapshot().unwrap();
    let tensors: Vec<_> = state.tensors.iter().map(HostTensor::view).collect();
    let slice = write_slice(&checkpoint, &identity, &tensors, &BTreeMap::new()).unwrap();
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        job: identity.job,
        step: identity.step,
        epoch: identity.epoch,
        generation: identity.generation,
        attempt: identity.attempt,
        slices: vec![slice],
        weights_sha256: Digest(state.weights_sha256()),
        is_final: true,
    };
    write_manifest(&checkpoint, &manifest).unwrap();
    let out = folder.join(format!("{}.exported.safetensors", spec.name));
    export(&checkpoint, &out, Overwrite::Refuse).unwrap();
}

fn read(file: &mut WeightsFile, name: &str) -> Tensor {
    let tensor = file.read(name).unwrap();
    let shape: Vec<i64> = tensor.shape.iter().map(|side| signed(*side)).collect();
    Tensor::from_data_size(&tensor.bytes, &shape, Kind::Float)
}

/// Scores in eval mode first, as the script: in training BatchNorm moves its running statistics.
#[track_caller]
fn check_scores(model: &Model, answers: &mut WeightsFile, whose: &str) {
    let images = read(answers, "images");
    let passes = [
        ("eval", Pass::Evaluation),
        ("train", Pass::Training { seed: 0 }),
    ];
    for (mode, pass) in passes {
        let expected = read(answers, &format!("{whose}.{mode}"));
        let scores = tch::no_grad(|| model.network.forward(&images, pass)).unwrap();
        let spread = expected.std(true).double_value(&[]);
        let difference = (scores - expected).abs().max().double_value(&[]);
        assert!(spread > 0.01, "{whose} {mode}: scores say something");
        assert!(
            difference < TOLERANCE,
            "{whose} weights in {mode} mode: scores differ by {difference}"
        );
    }
}

#[test]
fn torchvision_gives_the_same_scores_with_our_weights_and_we_with_its() {
    let folder = tempfile::tempdir().unwrap();
    for name in NETWORKS {
        export_initial(&ModelSpec::new(name, CLASSES), folder.path());
    }
    if !torchvision_answers(folder.path()) {
        // Not by a macro, whose output a passing test hides.
        let line = "SKIPPED: comparison with torchvision; set CONVOY_PYTHON to a Python with torch, torchvision, safetensors\n";
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return;
    }
    for name in NETWORKS {
        let file = |what: &str| folder.path().join(format!("{name}.{what}.safetensors"));
        let mut answers = WeightsFile::open(&file("answers")).unwrap();
        let mut spec = ModelSpec::new(name, CLASSES);
        for whose in ["exported", "torchvision"] {
            spec.init = Some(file(whose));
            let model = build(&spec, SHAPE, 99).unwrap();
            assert_eq!(model.start.as_ref().unwrap().new_head, None);
            check_scores(&model, &mut answers, whose);
        }
    }
}
