//! `convoy checkpoint export` and `convoy checkpoint show`.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests; clippy's allowance reaches only test functions"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use convoy_checkpoint::{
    Digest, Dtype, FORMAT_VERSION, Manifest, SliceIdentity, TensorView, checkpoint_folder,
    weights_sha256, write_manifest, write_slice,
};
use convoy_common::ids::{Attempt, EpochIndex, Generation, JobId, Rank, StepIndex};

use crate::fixture::Place;

/// A checkpoint of one rank with one parameter and one optimizer tensor; returns the folder of its job.
fn write_checkpoint(root: &Path) -> PathBuf {
    let job = JobId::try_from("shapes-1".to_owned()).unwrap();
    let attempt = Attempt {
        term: 1,
        counter: 1,
    };
    let (step, epoch, generation) = (StepIndex(10), EpochIndex(2), Generation(1));
    let bytes: Vec<u8> = [1.0f32, 2.0, 3.0, 4.0]
        .into_iter()
        .flat_map(f32::to_le_bytes)
        .collect();
    let tensor = |name| TensorView {
        name,
        dtype: Dtype::F32,
        shape: &[2, 2],
        bytes: &bytes,
    };
    let identity = SliceIdentity {
        job: job.clone(),
        step,
        epoch,
        generation,
        attempt,
        rank: Rank(0),
        world: 1,
    };
    let folder = checkpoint_folder(root, &job, step);
    let tensors = [
        tensor("model.fc.weight"),
        tensor("optimizer.momentum.fc.weight"),
    ];
    let slice = write_slice(&folder, &identity, &tensors, &BTreeMap::new()).unwrap();
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        job,
        step,
        epoch,
        generation,
        attempt,
        slices: vec![slice],
        weights_sha256: Digest(weights_sha256([tensor("fc.weight")])),
        is_final: true,
    };
    write_manifest(&folder, &manifest).unwrap();
    root.join("shapes-1")
}

fn slice_file(job: &Path) -> PathBuf {
    job.join("step-00000010/slice-g000001-a1.1-r0000-of-0001.safetensors")
}

#[test]
fn model_is_exported_with_a_report() {
    let place = Place::new();
    write_checkpoint(&place.path().join("checkpoints"));
    let ran = place.convoy(&[
        "checkpoint",
        "export",
        "checkpoints/shapes-1",
        "--out",
        "model.safetensors",
        "--json",
        "report.json",
    ]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(place.path().join("report.json")).unwrap()).unwrap();
    assert_eq!(
        (&report["tensors"], &report["elements"], &report["step"]),
        (&1.into(), &4.into(), &10.into())
    );
    let sha256 = report["weights_sha256"].as_str().unwrap();
    assert!(
        ran.out
            .starts_with("model.safetensors: 1 tensor with 4 elements, "),
        "{}",
        ran.out
    );
    assert!(ran.out.ends_with(&format!(
        "job shapes-1 after 10 steps (2 epochs), SHA-256 of the weights {sha256}\n"
    )));
    let bytes = fs::read(place.path().join("model.safetensors")).unwrap();
    assert!(bytes.windows(11).any(|window| window == b"\"fc.weight\""));
    place.refuses(
        &[
            "checkpoint",
            "export",
            "checkpoints/shapes-1",
            "--out",
            "model.safetensors",
        ],
        1,
        "error: model.safetensors is already there: name another file or say --force",
    );
    let forced = place.convoy(&[
        "checkpoint",
        "export",
        "checkpoints/shapes-1",
        "--out",
        "model.safetensors",
        "--force",
    ]);
    assert_eq!(forced.code, Some(0));
}

#[test]
fn changed_slice_is_neither_exported_nor_shown_as_whole() {
    let place = Place::new();
    let job = write_checkpoint(&place.path().join("checkpoints"));
    let file = slice_file(&job);
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    let ran = place.convoy(&[
        "checkpoint",
        "export",
        "checkpoints/shapes-1",
        "--out",
        "model.safetensors",
    ]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err
            .starts_with("error: slice checkpoints/shapes-1/step-00000010/slice-"),
        "{}",
        ran.err
    );
    assert!(
        ran.err.contains("it was changed or its disk is failing"),
        "{}",
        ran.err
    );
    assert!(!place.path().join("model.safetensors").exists());
    assert_eq!(
        place
            .convoy(&["checkpoint", "show", "checkpoints/shapes-1"])
            .code,
        Some(1)
    );
}

#[test]
fn checkpoint_is_shown_with_its_slices() {
    let place = Place::new();
    write_checkpoint(&place.path().join("checkpoints"));
    let ran = place.convoy(&[
        "checkpoint",
        "show",
        "checkpoints/shapes-1/step-00000010/manifest.json",
    ]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    for part in [
        "shapes-1",
        "10 steps, 2 epochs",
        "the job's last",
        "slice-g000001-a1.1-r0000-of-0001.safetensors",
    ] {
        assert!(ran.out.contains(part), "{part} in {}", ran.out);
    }
    assert!(
        ran.out.ends_with(
            "every slice is there and has the length and BLAKE3 that the manifest says\n"
        )
    );
}

#[test]
fn folder_that_is_no_checkpoint_is_refused() {
    Place::new().refuses(
        &["checkpoint", "show", "data"],
        1,
        "error: data is neither a manifest nor a folder of a checkpoint (with manifest.json) or of a job (with step-... folders)",
    );
}
