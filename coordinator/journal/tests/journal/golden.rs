//! The formats on the disk, byte by byte: a change of them fails here and needs a new version.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;

use convoy_journal::{Entry, EntryKind, JournalLimits, SimulatedDisk, SnapshotMeta, Snapshots};

use crate::fixture::{at, hard_state, initialised_with, open_with, segment, snapshot_file};

const LIMITS: JournalLimits = JournalLimits {
    segment_bytes: 512,
    reserve_bytes: 0,
    refuse_below_bytes: 0,
};

const FIRST: &str = include_str!("../../testdata/log-v1-first.hex");
const SECOND: &str = include_str!("../../testdata/log-v1-second.hex");
const SNAPSHOT: &str = include_str!("../../testdata/snapshot-v1.hex");

fn entry(index: u64, kind: EntryKind, data: &[u8]) -> Entry {
    Entry {
        index,
        term: 2,
        kind,
        data: data.to_vec(),
    }
}

fn meta() -> SnapshotMeta {
    SnapshotMeta {
        index: 5,
        term: 2,
        voters: vec![1, 2, 3],
        learners: vec![4],
        voters_outgoing: vec![1, 2],
        learners_next: vec![3],
        auto_leave: true,
    }
}

/// Every kind of record, two segments, and a snapshot.
fn written() -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    let mut log = initialised_with(&disk, LIMITS);
    let entries = [
        entry(1, EntryKind::Command, b"run"),
        entry(2, EntryKind::Membership, b""),
    ];
    log.append(Some(hard_state(2, 3, 1)), &entries, true)
        .unwrap();
    let snapshots = Snapshots::open(Arc::new(disk.clone())).unwrap();
    let mut writer = snapshots.writer(meta()).unwrap();
    writer.write_all(b"state").unwrap();
    writer.finish().unwrap();
    log.restart_after(at(5, 2)).unwrap();
    log.append(None, &[entry(6, EntryKind::Command, b"stop")], true)
        .unwrap();
    let long = entry(7, EntryKind::Command, &[7; 120]);
    log.append(Some(hard_state(3, 0, 7)), &[long], true)
        .unwrap();
    disk
}

/// Lines of 16 bytes: offset, bytes. Lines of zeroes are left out; the last line is the length.
fn dumped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (line, bytes) in bytes.chunks(16).enumerate() {
        if bytes.iter().any(|byte| *byte != 0) {
            write!(text, "{:04x}", line * 16).unwrap();
            for byte in bytes {
                write!(text, " {byte:02x}").unwrap();
            }
            text.push('\n');
        }
    }
    writeln!(text, "{:04x}", bytes.len()).unwrap();
    text
}

fn parsed(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in text.lines() {
        let mut numbers = line
            .split(' ')
            .map(|hex| usize::from_str_radix(hex, 16).unwrap());
        bytes.resize(numbers.next().unwrap(), 0);
        bytes.extend(numbers.map(|byte| byte as u8));
    }
    bytes
}

#[test]
fn log_and_snapshot_are_written_as_version_1() {
    let disk = written();
    for (name, golden) in [
        (segment(1), FIRST),
        (segment(2), SECOND),
        (snapshot_file(5, 2), SNAPSHOT),
    ] {
        let bytes = disk.contents(&name).unwrap();
        assert_eq!(
            dumped(&bytes),
            golden,
            "{name} is written otherwise:\n{}",
            dumped(&bytes)
        );
    }
}

#[test]
fn log_and_snapshot_of_version_1_are_read() {
    let disk = SimulatedDisk::new(1);
    disk.put(&segment(1), &parsed(FIRST));
    disk.put(&segment(2), &parsed(SECOND));
    disk.put(&snapshot_file(5, 2), &parsed(SNAPSHOT));
    let (_, found) = open_with(&disk, LIMITS).unwrap();
    assert_eq!(found.identity, Some(crate::fixture::IDENTITY));
    assert_eq!(found.hard_state, hard_state(3, 0, 7));
    assert_eq!(found.start, at(5, 2));
    assert_eq!(found.snapshot, Some(meta()));
    let expected = [
        entry(6, EntryKind::Command, b"stop"),
        entry(7, EntryKind::Command, &[7; 120]),
    ];
    assert_eq!(found.entries, expected);
}
