use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Barrier;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// Labels of `values.len()` samples as an IDX file.
fn labels(values: &[u8]) -> Vec<u8> {
    [
        &[0, 0, 8, 1],
        &(values.len() as u32).to_be_bytes()[..],
        values,
    ]
    .concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

struct Case {
    folder: TempDir,
    gz: PathBuf,
    plain: PathBuf,
}

impl Case {
    fn new(compressed: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (gz, plain) = (
            folder.path().join("labels.gz"),
            folder.path().join("labels"),
        );
        std::fs::write(&gz, compressed).unwrap();
        Self { folder, gz, plain }
    }

    fn open(&self) -> Result<FileBytes, DataError> {
        open_bytes(
            &NamedFile {
                key: "data.train_labels",
                path: &self.gz,
            },
            Content::Labels,
        )
    }

    fn error(&self) -> String {
        match self.open() {
            Ok(_) => panic!("opening should fail"),
            Err(error) => error.to_string(),
        }
    }

    fn files(&self) -> usize {
        std::fs::read_dir(self.folder.path()).unwrap().count()
    }
}

fn content(bytes: &FileBytes) -> Vec<u8> {
    bytes.slice(0, bytes.len()).unwrap().to_vec()
}

#[test]
fn gz_is_decompressed_once_beside_itself() {
    let whole = labels(&[1, 2, 3]);
    let case = Case::new(&gzip(&whole));
    assert_eq!(content(&case.open().unwrap()), whole);
    assert_eq!(std::fs::read(&case.plain).unwrap(), whole);
    let written = std::fs::metadata(&case.plain).unwrap().modified().unwrap();
    assert!(matches!(case.open().unwrap(), FileBytes::Mapped(_)));
    assert_eq!(
        std::fs::metadata(&case.plain).unwrap().modified().unwrap(),
        written
    );
    assert_eq!(case.files(), 2);
}

#[test]
fn many_that_decompress_at_once_all_get_the_same_bytes() {
    let whole = labels(
        &(0..200_000u32)
            .map(|index| (index % 251) as u8)
            .collect::<Vec<_>>(),
    );
    let case = Case::new(&gzip(&whole));
    let barrier = Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                barrier.wait();
                assert_eq!(content(&case.open().unwrap()), whole);
            });
        }
    });
    assert_eq!(case.files(), 2);
}

#[test]
fn several_gzip_members_are_one_file() {
    let whole = labels(&[1, 2, 3, 4, 5]);
    let (front, back) = whole.split_at(6);
    let case = Case::new(&[gzip(front), gzip(back)].concat());
    assert_eq!(content(&case.open().unwrap()), whole);
    // The second time the trailer of the last member doesn't speak for all of them.
    assert_eq!(content(&case.open().unwrap()), whole);
}

#[test]
fn stale_file_of_the_same_length_is_an_error_that_says_to_delete_it() {
    let case = Case::new(&gzip(&labels(&[1, 2, 3])));
    std::fs::write(&case.plain, labels(&[1, 2, 4])).unwrap();
    let error = case.error();
    for part in [
        "data.train_labels",
        "labels\"",
        "labels.gz",
        "11 bytes with CRC-32",
        "delete it",
    ] {
        assert!(error.contains(part), "{part:?} is missing from: {error}");
    }
}

#[test]
fn cut_and_longer_files_beside_the_gz_are_stale() {
    let whole = labels(&[1, 2, 3]);
    for other in [
        Vec::new(),
        whole[..10].to_vec(),
        labels(&[1, 2, 3, 4]),
        b"something else".to_vec(),
    ] {
        let case = Case::new(&gzip(&whole));
        std::fs::write(&case.plain, &other).unwrap();
        let error = case.error();
        assert!(error.contains("delete it"), "{error}");
        assert_eq!(
            std::fs::read(&case.plain).unwrap(),
            other,
            "what is not ours is never changed"
        );
    }
}

#[test]
fn damaged_gz_leaves_nothing_behind() {
    let good = gzip(&labels(&[7; 1_000]));
    let mut wrong_checksum = good.clone();
    let crc = good.len() - 8;
    wrong_checksum[crc] ^= 1;
    for damaged in [
        b"no gzip".to_vec(),
        Vec::new(),
        good[..good.len() - 9].to_vec(),
        wrong_checksum,
    ] {
        let case = Case::new(&damaged);
        let error = case.error();
        assert!(
            error.contains("cannot decompress") && error.contains("labels.gz"),
            "{error}"
        );
        assert_eq!(case.files(), 1);
    }
}

#[test]
fn bomb_is_stopped_at_the_announced_length() {
    let bomb = [labels(&[1, 2, 3]), vec![0; 10_000_000]].concat();
    let case = Case::new(&gzip(&bomb));
    let error = case.error();
    assert!(error.contains("announces 11 bytes, but"), "{error}");
    assert_eq!(case.files(), 1);
}

#[test]
fn more_than_the_limit_is_refused_by_the_header_alone() {
    let images = [
        [0, 0, 8, 3],
        [0xff; 4],
        4_096u32.to_be_bytes(),
        4_096u32.to_be_bytes(),
    ]
    .concat();
    let case = Case::new(&gzip(&images));
    let error = match open_bytes(
        &NamedFile {
            key: "data.train_images",
            path: &case.gz,
        },
        Content::Images,
    ) {
        Ok(_) => panic!("opening should fail"),
        Err(error) => error.to_string(),
    };
    assert!(
        error.contains(&MAX_DECOMPRESSED_BYTES.to_string()) && error.contains("on disk"),
        "{error}"
    );
    assert_eq!(case.files(), 1);
}

#[test]
fn folder_that_can_not_be_written_means_memory() {
    let whole = labels(&[1, 2, 3]);
    let case = Case::new(&gzip(&whole));
    let folder = case.folder.path();
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o555)).unwrap();
    let root_ignores_permissions = std::fs::write(folder.join("probe"), "").is_ok();
    let opened = case.open();
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    let opened = opened.unwrap();
    assert_eq!(content(&opened), whole);
    assert_eq!(
        matches!(opened, FileBytes::Mapped(_)),
        root_ignores_permissions
    );
}

#[test]
fn read_only_file_system_means_memory_and_a_full_disk_does_not() {
    use rustix::io::Errno;
    let writable = |errno: Errno| {
        let error = convoy_files::FileError::new("create", Path::new("/nowhere/labels"), errno);
        !gzip::is_not_writable(&error)
    };
    assert!(!writable(Errno::ROFS) && !writable(Errno::ACCESS) && !writable(Errno::PERM));
    assert!(writable(Errno::NOSPC) && writable(Errno::IO));
}

#[test]
fn decompression_into_memory_gives_the_same_bytes() {
    let whole = labels(&[1, 2, 3]);
    let case = Case::new(&gzip(&whole));
    let why = convoy_files::FileError::new("create", &case.plain, rustix::io::Errno::ROFS);
    let file = NamedFile {
        key: "data.train_labels",
        path: &case.gz,
    };
    let bytes = gzip::in_memory(&file, Content::Labels, &why).unwrap();
    assert_eq!(content(&bytes), whole);
    assert!(bytes.slice(10, 2).is_err() && bytes.slice(u64::MAX, 2).is_err());
    assert_eq!(case.files(), 1);
}

proptest! {
    #[test]
    fn damaged_gz_never_panics(place: prop::sample::Index, value: u8, cut: prop::sample::Index, beside: bool) {
        let mut compressed = gzip(&labels(&[5; 300]));
        let place = place.index(compressed.len());
        compressed[place] = value;
        compressed.truncate(cut.index(compressed.len() + 1));
        let case = Case::new(&compressed);
        if beside {
            std::fs::write(&case.plain, labels(&[5; 300])).unwrap();
        }
        if let Ok(bytes) = case.open() {
            prop_assert_eq!(content(&bytes), labels(&[5; 300]));
        }
    }
}
