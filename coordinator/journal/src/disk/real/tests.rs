use std::path::Path;

use super::*;

/// Several blocks, so that preparing takes more than one write.
const SPARE_BYTES: u64 = 3 << 20;

fn names(disk: &RealDisk) -> Vec<String> {
    let mut names = disk.list().unwrap();
    names.sort();
    names
}

fn hidden(folder: &Path) -> bool {
    folder.join(".spare").exists()
}

#[test]
fn folder_in_use_is_refused_with_the_id_of_its_process() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("deep/data");
    let first = RealDisk::open(&place).unwrap();
    let error = RealDisk::open(&place).err().unwrap().to_string();
    assert!(
        error.contains(&format!("process {}", std::process::id())),
        "{error}"
    );
    assert!(error.contains("deep/data"), "{error}");
    drop(first);
    RealDisk::open(&place).unwrap();
}

#[test]
fn file_reads_as_zeroes_then_as_written_and_grows() {
    let folder = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(folder.path()).unwrap();
    let mut file = disk.create("a", 5000).unwrap();
    let mut bytes = [1; 6000];
    assert_eq!(file.read_at(0, &mut bytes).unwrap(), 5000);
    assert!(bytes[..5000].iter().all(|byte| *byte == 0));
    file.write_at(4998, b"tail").unwrap();
    file.sync().unwrap();
    disk.sync_folder().unwrap();
    assert_eq!(file.len().unwrap(), 5002);
    let again = disk.open("a").unwrap();
    assert_eq!(again.read_at(4998, &mut bytes).unwrap(), 4);
    assert_eq!(&bytes[..4], b"tail");
    file.set_len(3).unwrap();
    assert_eq!(again.len().unwrap(), 3);
}

#[test]
fn name_that_is_taken_cannot_be_created_and_rename_replaces() {
    let folder = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(folder.path()).unwrap();
    disk.create("a", 10).unwrap();
    for bytes in [0, 10] {
        let error = disk.create("a", bytes).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }
    disk.create("b", 20).unwrap();
    disk.rename("b", "a").unwrap();
    assert_eq!(names(&disk), ["a"]);
    assert_eq!(disk.open("a").unwrap().len().unwrap(), 20);
    disk.remove("a").unwrap();
    assert_eq!(
        disk.open("a").err().unwrap().kind(),
        io::ErrorKind::NotFound
    );
    assert!(disk.free_bytes().unwrap() > 0);
}

#[test]
fn prepared_file_is_taken_by_the_creation_of_its_size_only() {
    let folder = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(folder.path()).unwrap();
    disk.prepare(SPARE_BYTES);
    disk.create("other", 100).unwrap();
    let file = disk.create("segment", SPARE_BYTES).unwrap();
    assert!(!hidden(folder.path()));
    assert_eq!(names(&disk), ["other", "segment"]);
    assert_eq!(file.len().unwrap(), SPARE_BYTES);
    let mut bytes = vec![1; 3 << 20];
    file.read_at(0, &mut bytes).unwrap();
    assert!(bytes.iter().all(|byte| *byte == 0));
}

#[test]
fn prepared_file_that_nobody_took_is_gone_when_the_disk_is_closed_or_opened() {
    let folder = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(folder.path()).unwrap();
    disk.prepare(SPARE_BYTES);
    drop(disk);
    assert!(!hidden(folder.path()));
    // As after a kill.
    fs::write(folder.path().join(".spare"), b"left").unwrap();
    let disk = RealDisk::open(folder.path()).unwrap();
    assert!(!hidden(folder.path()));
    assert!(names(&disk).is_empty());
}
