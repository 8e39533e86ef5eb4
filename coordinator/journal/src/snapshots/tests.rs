use std::io::{Read, Write};

use super::*;
use crate::disk::SimulatedDisk;
use crate::snapshots::format::CHUNK_BYTES;

fn snapshots(disk: &SimulatedDisk) -> Snapshots<SimulatedDisk> {
    Snapshots::open(Arc::new(disk.clone())).unwrap()
}

fn meta(index: u64) -> SnapshotMeta {
    SnapshotMeta {
        index,
        term: 2,
        voters: vec![1, 2, 3],
        learners: vec![4],
        voters_outgoing: vec![1, 2],
        learners_next: vec![5],
        auto_leave: true,
    }
}

fn take(snapshots: &Snapshots<SimulatedDisk>, meta: SnapshotMeta, payload: &[u8]) {
    let mut writer = snapshots.writer(meta).unwrap();
    writer.write_all(payload).unwrap();
    assert_eq!(writer.payload_bytes(), payload.len() as u64);
    writer.finish().unwrap();
}

fn payload(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at % 251) as u8).collect()
}

#[test]
fn snapshot_is_read_as_it_was_written_whatever_its_length() {
    let disk = SimulatedDisk::new(1);
    let snapshots = snapshots(&disk);
    for (index, bytes) in (1..).zip([
        0,
        1,
        CHUNK_BYTES - 1,
        CHUNK_BYTES,
        CHUNK_BYTES + 1,
        3 * CHUNK_BYTES,
    ]) {
        take(&snapshots, meta(index), &payload(bytes));
        let mut reader = snapshots.reader(&meta(index)).unwrap();
        assert_eq!(reader.payload_bytes(), bytes as u64);
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert!(read == payload(bytes), "{bytes} bytes");
        assert_eq!(reader.meta(), &meta(index));
        assert_eq!(snapshots.newest().unwrap(), Some(meta(index)));
    }
}

#[test]
fn unfinished_snapshot_is_seen_by_nobody_and_leaves_nothing() {
    let disk = SimulatedDisk::new(1);
    let all = snapshots(&disk);
    let mut writer = all.writer(meta(1)).unwrap();
    writer.write_all(&payload(CHUNK_BYTES * 2)).unwrap();
    assert_eq!(all.newest().unwrap(), None);
    assert_eq!(disk.list().unwrap().len(), 1);
    drop(writer);
    assert!(disk.list().unwrap().is_empty());

    // As a killed process leaves it.
    disk.put(
        "snapshot-00000000000000000001-00000000000000000002.bin.7.tmp",
        b"half",
    );
    snapshots(&disk);
    assert!(disk.list().unwrap().is_empty());
}

#[test]
fn two_writers_of_one_position_do_not_meet() {
    let disk = SimulatedDisk::new(1);
    let snapshots = snapshots(&disk);
    let mut one = snapshots.writer(meta(1)).unwrap();
    let other = snapshots.clone().writer(meta(1)).unwrap();
    one.write_all(b"one").unwrap();
    one.finish().unwrap();
    drop(other);
    let mut read = String::new();
    let mut reader = snapshots.reader(&meta(1)).unwrap();
    reader.read_to_string(&mut read).unwrap();
    assert_eq!(read, "one");
}

#[test]
fn writer_works_on_another_thread() {
    let disk = SimulatedDisk::new(1);
    let snapshots = snapshots(&disk);
    let writer = snapshots.writer(meta(1)).unwrap();
    std::thread::spawn(move || writer.finish().unwrap())
        .join()
        .unwrap();
    assert!(snapshots.newest().unwrap().is_some());
}

#[test]
fn pruning_keeps_the_newest_and_a_reader_of_a_pruned_one_goes_on() {
    let disk = SimulatedDisk::new(1);
    let snapshots = snapshots(&disk);
    (1..=4).for_each(|index| take(&snapshots, meta(index), b"state"));
    disk.put(&set_aside(&name(meta(3).position())), b"");
    disk.put(&set_aside(&name(meta(9).position())), b"");
    let mut reader = snapshots.reader(&meta(1)).unwrap();
    snapshots.prune(2).unwrap();
    let expected = [
        name(meta(3).position()),
        name(meta(4).position()),
        set_aside(&name(meta(9).position())),
    ];
    assert_eq!(disk.list().unwrap(), expected);
    let mut read = Vec::new();
    reader.read_to_end(&mut read).unwrap();
    assert_eq!(read, b"state");
    snapshots.prune(0).unwrap();
    assert_eq!(snapshots.newest().unwrap(), Some(meta(4)));
    assert!(snapshots.reader(&meta(3)).is_err());
}

#[test]
fn damage_is_noticed_while_reading_and_named() {
    let disk = SimulatedDisk::new(1);
    let snapshots = snapshots(&disk);
    take(&snapshots, meta(1), &payload(CHUNK_BYTES + 100));
    let name = name(meta(1).position());
    let whole = disk.contents(&name).unwrap();
    disk.flip_bit(&name, (whole.len() as u64 - 30) * 8);
    let mut reader = snapshots.reader(&meta(1)).unwrap();
    let mut read = Vec::new();
    let error = reader.read_to_end(&mut read).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    let inner = error.get_ref().unwrap().downcast_ref::<JournalError>();
    let offset = whole.len() - 24 - 108;
    assert!(
        matches!(inner, Some(JournalError::Corrupt { offset: at, .. }) if *at == offset as u64),
        "{error}"
    );
    assert_eq!(read, payload(CHUNK_BYTES), "what was verified before it");
    assert!(snapshots.newest().is_err());
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let disk = SimulatedDisk::new(1);
    let snapshots = snapshots(&disk);
    take(&snapshots, meta(1), b"some state of the machine");
    let name = name(meta(1).position());
    let whole = disk.contents(&name).unwrap();
    for bit in 0..whole.len() as u64 * 8 {
        disk.flip_bit(&name, bit);
        assert!(snapshots.newest().is_err(), "bit {bit}");
        disk.flip_bit(&name, bit);
    }
    for length in 0..whole.len() {
        disk.put(&name, &whole[..length]);
        assert!(snapshots.newest().is_err(), "{length} bytes");
    }
    disk.put(&name, &[whole.as_slice(), b"\0"].concat());
    assert!(snapshots.newest().is_err(), "one byte more");
}

#[test]
fn full_disk_ends_a_snapshot_and_gives_its_room_back() {
    let disk = SimulatedDisk::new(1);
    disk.set_capacity(Some(CHUNK_BYTES as u64 * 2));
    let snapshots = snapshots(&disk);
    let mut writer = snapshots.writer(meta(1)).unwrap();
    let error = writer.write_all(&payload(CHUNK_BYTES * 4)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    drop(writer);
    disk.sync_folder().unwrap();
    assert_eq!(disk.free_bytes().unwrap(), CHUNK_BYTES as u64 * 2);

    let mut writer = snapshots.writer(meta(1)).unwrap();
    writer.write_all(&payload(CHUNK_BYTES * 2)).unwrap();
    let error = writer.finish().unwrap_err();
    assert!(error.is_full() && !error.is_fatal(), "{error}");
    assert!(disk.list().unwrap().is_empty());
}

#[test]
fn snapshot_of_which_a_write_failed_cannot_be_finished() {
    let disk = SimulatedDisk::new(1);
    let snapshots = snapshots(&disk);
    let mut writer = snapshots.writer(meta(1)).unwrap();
    disk.fail_write_after(Some(0));
    assert!(writer.write_all(&payload(CHUNK_BYTES * 2)).is_err());
    assert!(writer.write_all(b"more").is_err());
    let error = writer.finish().unwrap_err();
    assert!(!error.is_fatal(), "{error}");
    assert!(disk.list().unwrap().is_empty());

    // One of the syncs on the way.
    let mut writer = snapshots.writer(meta(1)).unwrap();
    disk.fail_sync_after(Some(0));
    assert!(writer.write_all(&payload(CHUNK_BYTES * 40)).is_err());
    let error = writer.finish().unwrap_err();
    assert!(error.is_fatal(), "{error}");
    assert_eq!(snapshots.newest().unwrap(), None);
}

#[test]
fn failed_sync_is_fatal() {
    let disk = SimulatedDisk::new(1);
    let snapshots = snapshots(&disk);
    let writer = snapshots.writer(meta(1)).unwrap();
    disk.fail_sync_after(Some(0));
    let error = writer.finish().unwrap_err();
    assert!(error.is_fatal(), "{error}");
}

#[test]
fn too_many_members_are_refused() {
    let snapshots = snapshots(&SimulatedDisk::new(1));
    let crowd = SnapshotMeta {
        voters: vec![1; 2000],
        ..meta(1)
    };
    let error = snapshots.writer(crowd).err().unwrap();
    assert!(error.to_string().contains("too many members"), "{error}");
}
