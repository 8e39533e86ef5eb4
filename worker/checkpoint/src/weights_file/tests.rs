use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// A file of a 2x3 matrix `b` of f32 and a scalar `a` of i64.
fn valid() -> Vec<u8> {
    let header = br#"{"b":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"a":{"dtype":"I64","shape":[],"data_offsets":[24,32]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    (0..6).for_each(|i| bytes.extend((i as f32).to_le_bytes()));
    bytes.extend(9i64.to_le_bytes());
    bytes
}

fn open(bytes: &[u8]) -> (TempDir, Result<WeightsFile, CheckpointError>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    fs::write(&path, bytes).unwrap();
    let opened = WeightsFile::open(&path);
    (folder, opened)
}

#[track_caller]
fn refuses(bytes: &[u8], reason: &str) {
    let (folder, opened) = open(bytes);
    let expected = format!(
        "{} is not readable as safetensors: {reason}",
        folder.path().join("w.safetensors").display()
    );
    assert_eq!(opened.unwrap_err().to_string(), expected);
}

fn with_header(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

#[test]
fn tensors_are_listed_by_name_and_read_one_by_one() {
    let (_folder, opened) = open(&valid());
    let mut file = opened.unwrap();
    let described: Vec<_> = file
        .tensors()
        .map(|t| (t.name.to_owned(), t.dtype, t.shape.to_vec()))
        .collect();
    assert_eq!(
        described,
        [
            ("a".to_owned(), Dtype::I64, vec![]),
            ("b".to_owned(), Dtype::F32, vec![2, 3])
        ]
    );
    assert_eq!(file.read("a").unwrap().bytes, 9i64.to_le_bytes());
    assert_eq!(file.read("b").unwrap().bytes[20..], 5f32.to_le_bytes());
    assert_eq!(file.tensor("c"), None);
    let error = file.read("c").unwrap_err().to_string();
    assert!(error.ends_with("has no tensor \"c\""), "{error}");
}

#[test]
fn a_cut_file_and_one_with_a_tail_are_refused_with_both_lengths() {
    let whole = valid();
    let bytes = whole.len();
    let described = format!("its header describes {bytes} bytes and it has");
    refuses(
        &whole[..bytes - 1],
        &format!("{described} {} bytes", bytes - 1),
    );
    let longer: Vec<u8> = whole.iter().copied().chain([0]).collect();
    refuses(&longer, &format!("{described} {} bytes", bytes + 1));
    refuses(
        &whole[..40],
        &format!(
            "it claims a header of {} bytes and has 40 bytes",
            bytes - 40
        ),
    );
    refuses(&[], "it has 0 bytes, fewer than any such file");
}

#[test]
fn headers_above_the_limit_take_no_memory() {
    refuses(
        &u64::MAX.to_le_bytes(),
        "it claims a header of 18446744073709551615 bytes, at most 16777216 are read",
    );
}

#[test]
fn a_file_of_torch_save_is_told_how_to_be_converted() {
    refuses(
        b"PK\x03\x04 and so on",
        "it was written by torch.save; write its state_dict() with safetensors.torch.save_file",
    );
}

#[test]
fn types_that_are_not_known_are_named() {
    refuses(
        &with_header(
            r#"{"w":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}}"#,
            4,
        ),
        "tensor \"w\" has the unsupported type F8_E4M3",
    );
}

#[test]
fn descriptions_that_contradict_themselves_are_refused() {
    for header in [
        r#"{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,4]}}"#,
        r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
        r#"{"w":{"dtype":"F32","shape":[9223372036854775807,9223372036854775807],"data_offsets":[0,4]}}"#,
        r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"v":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
        r#"{"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#,
        "{",
        "[]",
        "",
    ] {
        let (_folder, opened) = open(&with_header(header, 4));
        let error = opened.unwrap_err().to_string();
        assert!(error.contains("is not readable as safetensors"), "{error}");
    }
}

#[test]
fn a_folder_and_a_missing_file_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let error = WeightsFile::open(folder.path()).unwrap_err().to_string();
    assert!(error.ends_with("it is no file"), "{error}");
    let error = WeightsFile::open(&folder.path().join("none")).unwrap_err();
    assert!(error.to_string().contains("none"), "{error}");
}

proptest! {
    #[test]
    fn a_changed_byte_never_panics(place in 0usize..152, value: u8) {
        let mut bytes = valid();
        let place = place.min(bytes.len() - 1);
        bytes[place] = value;
        let (_folder, opened) = open(&bytes);
        if let Ok(mut file) = opened {
            let names: Vec<String> = file.tensors().map(|t| t.name.to_owned()).collect();
            for name in names {
                file.read(&name).unwrap();
            }
        }
    }
}
