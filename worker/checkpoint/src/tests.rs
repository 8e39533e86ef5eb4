use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use convoy_common::ids::{Attempt, EpochIndex, Generation, JobId, Rank, StepIndex};
use proptest::prelude::*;

use super::*;

struct Owned {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Owned {
    fn view(&self) -> TensorView<'_> {
        TensorView {
            name: &self.name,
            dtype: self.dtype,
            shape: &self.shape,
            bytes: &self.bytes,
        }
    }
}

fn floats(name: &str, shape: &[usize]) -> Owned {
    let count: usize = shape.iter().product();
    let bytes = (0..count)
        .flat_map(|i| (i as f32 * 0.25 + name.len() as f32).to_le_bytes())
        .collect();
    Owned {
        name: name.to_owned(),
        dtype: Dtype::F32,
        shape: shape.to_vec(),
        bytes,
    }
}

fn model() -> Vec<Owned> {
    let count = 17i64.to_le_bytes().to_vec();
    vec![
        floats("model.conv1.weight", &[8, 1, 3, 3]),
        floats("model.bn1.running_mean", &[8]),
        Owned {
            name: "model.bn1.num_batches_tracked".to_owned(),
            dtype: Dtype::I64,
            shape: vec![],
            bytes: count,
        },
        floats("model.fc.bias", &[10]),
        floats("optimizer.momentum.conv1.weight", &[8, 1, 3, 3]),
    ]
}

fn job() -> JobId {
    JobId::try_from("fashion-1".to_owned()).unwrap()
}

fn identity(rank: u32, world: u32) -> SliceIdentity {
    SliceIdentity {
        job: job(),
        step: StepIndex(1170),
        epoch: EpochIndex(2),
        generation: Generation(3),
        attempt: Attempt {
            term: 1,
            counter: 4,
        },
        rank: Rank(rank),
        world,
    }
}

fn weights(tensors: &[Owned]) -> Digest {
    let bare = tensors.iter().filter_map(|tensor| {
        let name = tensor.name.strip_prefix(MODEL_PREFIX)?;
        Some(TensorView {
            name,
            ..tensor.view()
        })
    });
    Digest(weights_sha256(bare))
}

/// Writes a checkpoint as a job of `world` ranks would.
fn write_checkpoint(root: &Path, world: u32) -> (PathBuf, Manifest) {
    let tensors = model();
    let folder = checkpoint_folder(root, &job(), StepIndex(1170));
    let sizes: Vec<usize> = tensors.iter().map(|t| t.bytes.len()).collect();
    let owners = assign_to_ranks(&sizes, world);
    let slices = (0..world)
        .map(|rank| {
            let own: Vec<_> = tensors
                .iter()
                .zip(&owners)
                .filter(|(_, o)| o.0 == rank)
                .map(|(t, _)| t.view())
                .collect();
            write_slice(&folder, &identity(rank, world), &own, &BTreeMap::new()).unwrap()
        })
        .collect();
    let SliceIdentity {
        job,
        step,
        epoch,
        generation,
        attempt,
        ..
    } = identity(0, world);
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        job,
        step,
        epoch,
        generation,
        attempt,
        slices,
        weights_sha256: weights(&tensors),
        is_final: true,
    };
    write_manifest(&folder, &manifest).unwrap();
    (folder, manifest)
}

#[test]
fn what_was_written_by_three_ranks_is_read_back() {
    let root = tempfile::tempdir().unwrap();
    let (folder, manifest) = write_checkpoint(root.path(), 3);
    assert_eq!(folder, root.path().join("fashion-1/step-00001170"));
    assert_eq!(read_manifest(&folder).unwrap(), manifest);
    assert_eq!(
        latest(root.path(), &job()).unwrap(),
        Some((folder.clone(), manifest.clone()))
    );
    let stored = StoredCheckpoint::open(&folder, &manifest).unwrap();
    let mut expected = model();
    expected.sort_by(|a, b| a.name.cmp(&b.name));
    let read = stored.read_all("").unwrap();
    assert_eq!(read.len(), expected.len());
    for (read, expected) in read.iter().zip(&expected) {
        assert_eq!(
            (&read.name, read.dtype, &read.shape),
            (&expected.name, expected.dtype, &expected.shape)
        );
        assert_eq!(read.bytes, expected.bytes, "{}", read.name);
    }
    let momentum: Vec<_> = stored.names("optimizer.momentum.").collect();
    assert_eq!(momentum, ["optimizer.momentum.conv1.weight"]);
}

#[test]
fn slice_says_whose_it_is() {
    let root = tempfile::tempdir().unwrap();
    let (folder, manifest) = write_checkpoint(root.path(), 2);
    assert_eq!(
        manifest.slices[1].file,
        "slice-g000003-a1.4-r0001-of-0002.safetensors"
    );
    let bytes = fs::read(folder.join(&manifest.slices[1].file)).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let metadata: BTreeMap<_, _> = header.metadata().clone().unwrap().into_iter().collect();
    let text: Vec<String> = metadata
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_eq!(
        text.join(" "),
        "attempt=1.4 epoch=2 format_version=1 generation=3 job=fashion-1 rank=1 step=1170 world=2"
    );
}

#[test]
fn export_is_the_model_alone_whatever_the_number_of_ranks() {
    let files: Vec<Vec<u8>> = [1, 2, 5]
        .into_iter()
        .map(|world| {
            let root = tempfile::tempdir().unwrap();
            let (folder, manifest) = write_checkpoint(root.path(), world);
            let out = root.path().join("model.safetensors");
            let report = export(&folder, &out, Overwrite::Refuse).unwrap();
            assert_eq!((report.tensors, report.elements), (4, 72 + 8 + 1 + 10));
            assert_eq!(report.weights_sha256, manifest.weights_sha256);
            assert_eq!(report.bytes, fs::metadata(&out).unwrap().len());
            fs::read(out).unwrap()
        })
        .collect();
    assert!(files.windows(2).all(|pair| pair[0] == pair[1]));
    let exported = safetensors::SafeTensors::deserialize(&files[0]).unwrap();
    let mut names = exported.names();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "bn1.num_batches_tracked",
            "bn1.running_mean",
            "conv1.weight",
            "fc.bias"
        ]
    );
    let weight = exported.tensor("conv1.weight").unwrap();
    assert_eq!(
        (weight.shape(), weight.data()),
        ([8, 1, 3, 3].as_slice(), model()[0].bytes.as_slice())
    );
    assert!(
        exported
            .tensor("bn1.num_batches_tracked")
            .unwrap()
            .shape()
            .is_empty()
    );
}

#[test]
fn export_replaces_only_when_told() {
    let root = tempfile::tempdir().unwrap();
    let (folder, _) = write_checkpoint(root.path(), 1);
    let out = root.path().join("model.safetensors");
    fs::write(&out, "precious").unwrap();
    let error = export(&folder, &out, Overwrite::Refuse).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{} is already there: name another file or say --force",
            out.display()
        )
    );
    assert_eq!(fs::read_to_string(&out).unwrap(), "precious");
    export(&folder, &out, Overwrite::Replace).unwrap();
    assert!(fs::metadata(&out).unwrap().len() > 300);
}

#[test]
fn one_changed_byte_is_found_and_nothing_is_exported() {
    let root = tempfile::tempdir().unwrap();
    let (folder, manifest) = write_checkpoint(root.path(), 2);
    let path = folder.join(&manifest.slices[1].file);
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = verify(&folder, &manifest).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "slice {} has BLAKE3 {}; the manifest says {}: it was changed or its disk is failing",
            path.display(),
            blake3::hash(&bytes).to_hex(),
            manifest.slices[1].blake3
        )
    );
    let out = root.path().join("out.safetensors");
    export(&folder, &out, Overwrite::Refuse).unwrap_err();
    assert!(!out.exists());
}

#[test]
fn missing_and_short_slices_are_named_with_both_lengths() {
    let root = tempfile::tempdir().unwrap();
    let (folder, manifest) = write_checkpoint(root.path(), 2);
    let slice = &manifest.slices[0];
    let path = folder.join(&slice.file);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..100]).unwrap();
    assert_eq!(
        verify(&folder, &manifest).unwrap_err().to_string(),
        format!(
            "slice {} has 100 bytes; the manifest says {}",
            path.display(),
            slice.bytes
        )
    );
    fs::remove_file(&path).unwrap();
    assert_eq!(
        verify(&folder, &manifest).unwrap_err().to_string(),
        format!(
            "slice {} is missing; the manifest says it has {} bytes",
            path.display(),
            slice.bytes
        )
    );
}

#[test]
fn weights_that_are_not_those_reported_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let (folder, manifest) = write_checkpoint(root.path(), 1);
    let wrong = Manifest {
        weights_sha256: Digest([7; 32]),
        ..manifest.clone()
    };
    fs::write(
        folder.join(MANIFEST_FILE),
        serde_json::to_vec(&wrong).unwrap(),
    )
    .unwrap();
    let error = export(&folder, &root.path().join("out"), Overwrite::Refuse).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the weights in {} have SHA-256 {}; the manifest says {}",
            folder.display(),
            manifest.weights_sha256,
            "07".repeat(32)
        )
    );
}

#[test]
fn zombie_cannot_replace_a_slice() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("job/step");
    let (first, second) = (floats("model.a", &[4]), floats("model.longer", &[4]));
    let record = write_slice(&folder, &identity(0, 1), &[first.view()], &BTreeMap::new()).unwrap();
    let error =
        write_slice(&folder, &identity(0, 1), &[second.view()], &BTreeMap::new()).unwrap_err();
    assert!(
        matches!(error, CheckpointError::SliceTaken { found, .. } if found == record.blake3),
        "{error}"
    );
    let again = write_slice(&folder, &identity(0, 1), &[first.view()], &BTreeMap::new()).unwrap();
    assert_eq!(again, record, "the very same slice may be written again");
}

#[test]
fn manifest_is_written_once() {
    let root = tempfile::tempdir().unwrap();
    let (folder, manifest) = write_checkpoint(root.path(), 1);
    write_manifest(&folder, &manifest).unwrap();
    let other = Manifest {
        is_final: false,
        ..manifest
    };
    let error = write_manifest(&folder, &other).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{}/manifest.json is already there with other content: manifests are never replaced",
            folder.display()
        )
    );
}

#[test]
fn manifests_that_cannot_be_trusted_are_refused_with_the_reason() {
    let root = tempfile::tempdir().unwrap();
    let (folder, manifest) = write_checkpoint(root.path(), 2);
    let path = root.path().join("manifest.json");
    let good = serde_json::to_value(&manifest).unwrap();
    let check = |change: &dyn Fn(&mut serde_json::Value), expected: &str| {
        let mut json = good.clone();
        change(&mut json);
        fs::write(&path, json.to_string()).unwrap();
        let error = read_manifest(&path).unwrap_err().to_string();
        assert_eq!(
            error.strip_prefix(&path.display().to_string()).unwrap(),
            expected
        );
    };
    check(
        &|json| json["format_version"] = 2.into(),
        " has format version 2; this Convoy reads version 1",
    );
    check(
        &|json| json["slices"][1]["file"] = "../../passwords".into(),
        " is no manifest of a checkpoint: slice 1 has the file name \"../../passwords\"; it must be a name without folders",
    );
    check(
        &|json| json["slices"][1]["rank"] = 0.into(),
        " is no manifest of a checkpoint: slice 1 is of rank 0; slices must be in the order of ranks",
    );
    check(
        &|json| json["slices"] = serde_json::json!([]),
        " is no manifest of a checkpoint: it names no slices",
    );
    fs::write(&path, "{}").unwrap();
    let error = read_manifest(&path).unwrap_err().to_string();
    assert!(error.contains("missing field `format_version`"), "{error}");
    assert!(read_manifest(&folder).is_ok());
}

#[test]
fn path_that_is_nowhere_is_told_with_what_may_be_named() {
    let root = tempfile::tempdir().unwrap();
    let error = find_manifest(&root.path().join("nowhere"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("/nowhere: there is no such file or folder; name a"),
        "{error}"
    );
}

#[test]
fn folder_without_a_manifest_is_no_checkpoint() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(latest(root.path(), &job()).unwrap(), None);
    let (folder, _) = write_checkpoint(root.path(), 1);
    let later = checkpoint_folder(root.path(), &job(), StepIndex(2000));
    fs::create_dir_all(&later).unwrap();
    assert_eq!(
        find_manifest(&root.path().join("fashion-1")).unwrap(),
        folder.join(MANIFEST_FILE)
    );
    let error = find_manifest(&later).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!(
            "{} is neither a manifest nor a folder",
            later.display()
        )),
        "{error}"
    );
}

#[test]
fn folder_that_cannot_be_made_is_named_with_the_reason() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    let tensor = floats("model.a", &[1]);
    let error = write_slice(
        &file.join("x"),
        &identity(0, 1),
        &[tensor.view()],
        &BTreeMap::new(),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot create folder {}: File exists (os error 17)",
            file.display()
        )
    );
}

#[test]
fn tensor_of_the_wrong_size_is_refused_before_anything_is_written() {
    let root = tempfile::tempdir().unwrap();
    let tensor = TensorView {
        name: "model.a",
        dtype: Dtype::F32,
        shape: &[2, 3],
        bytes: &[0; 20],
    };
    let error = write_slice(root.path(), &identity(0, 1), &[tensor], &BTreeMap::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "tensor \"model.a\" of type F32 and shape [2, 3] takes 24 bytes and was given 20"
    );
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn digest_of_weights_is_what_the_description_says() {
    use sha2::Digest as _;
    let tensor = TensorView {
        name: "b",
        dtype: Dtype::F32,
        shape: &[1],
        bytes: &1.5f32.to_le_bytes(),
    };
    let scalar = TensorView {
        name: "a",
        dtype: Dtype::I64,
        shape: &[],
        bytes: &3i64.to_le_bytes(),
    };
    let mut bytes = Vec::new();
    for word in [
        1u64.to_le_bytes().as_slice(),
        b"a",
        &3u64.to_le_bytes(),
        b"I64",
        &0u64.to_le_bytes(),
        scalar.bytes,
    ] {
        bytes.extend_from_slice(word);
    }
    for word in [
        1u64.to_le_bytes().as_slice(),
        b"b",
        &3u64.to_le_bytes(),
        b"F32",
        &1u64.to_le_bytes(),
    ] {
        bytes.extend_from_slice(word);
    }
    bytes.extend_from_slice(&1u64.to_le_bytes());
    bytes.extend_from_slice(tensor.bytes);
    let expected: [u8; 32] = sha2::Sha256::digest(&bytes).into();
    assert_eq!(weights_sha256([tensor, scalar]), expected, "in any order");
}

proptest! {
    #[test]
    fn ranks_share_the_bytes_evenly(sizes in prop::collection::vec(0usize..100_000, 0..60), world in 1u32..12) {
        let owners = assign_to_ranks(&sizes, world);
        prop_assert_eq!(&owners, &assign_to_ranks(&sizes, world), "deterministic");
        let mut loads = vec![0; world as usize];
        for (size, owner) in sizes.iter().zip(&owners) {
            loads[owner.0 as usize] += size;
        }
        let largest = sizes.iter().max().copied().unwrap_or(0);
        let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
        prop_assert!(most - least <= largest, "{loads:?}");
    }
}
