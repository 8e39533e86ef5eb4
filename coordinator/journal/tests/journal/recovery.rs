//! What every kind of damage and every interrupted change leads to.
//!
//! The usual log: three segments of 1,024 bytes. Segment 1 has a hard state at 128 and entries 1 to 3 at 176, 416, 656, its
//! seal at 896; segment 2 has entries 4 to 6 at 128, 368, 608, its seal at 848; segment 3 has entries 7 and 8 at 128 and 368
//! and ends at 608. Everything was synced one by one.

use convoy_journal::{Disk, Identity, JournalError, Recovered, SimulatedDisk};

use crate::fixture::{
    LIMITS, entry, everything, fill, hard_state, initialised, initialised_with, open, segment,
    snapshot, snapshot_file,
};

/// A situation, and what opening the log says of it, up to what it advises.
struct Case {
    name: &'static str,
    disk: fn() -> SimulatedDisk,
    expected: &'static str,
}

const fn case(name: &'static str, disk: fn() -> SimulatedDisk, expected: &'static str) -> Case {
    Case {
        name,
        disk,
        expected,
    }
}

fn usual() -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    let mut log = initialised(&disk);
    log.append(Some(hard_state(1, 2, 0)), &[entry(1, 1)], true)
        .unwrap();
    fill(&mut log, 2, 8, 1);
    disk
}

/// The usual log with entries 9 and 10 in one write each, neither synced: at 608 of segment 3 and at 128 of segment 4.
fn unsynced() -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    let mut log = initialised(&disk);
    log.append(Some(hard_state(1, 2, 0)), &[entry(1, 1)], true)
        .unwrap();
    for index in 2..=3 {
        log.append(None, &[entry(index, 1)], false).unwrap();
    }
    disk
}

/// The usual log, of which entries up to 6 are committed, with snapshots at 3 and 6.
fn with_snapshots() -> SimulatedDisk {
    let disk = usual();
    let (mut log, _) = open(&disk).unwrap();
    log.append(Some(hard_state(1, 2, 6)), &[], true).unwrap();
    snapshot(&disk, 3, 1);
    snapshot(&disk, 6, 1);
    disk
}

/// The same, compacted to begin with entry 7.
fn compacted() -> SimulatedDisk {
    let disk = with_snapshots();
    let (mut log, _) = open(&disk).unwrap();
    log.compact(7).unwrap();
    disk
}

fn flip(disk: SimulatedDisk, name: &str, byte: u64) -> SimulatedDisk {
    disk.flip_bit(name, byte * 8);
    disk
}

fn edit(disk: SimulatedDisk, name: &str, change: impl Fn(&mut Vec<u8>)) -> SimulatedDisk {
    let mut bytes = disk.contents(name).unwrap();
    change(&mut bytes);
    disk.put(name, &bytes);
    disk
}

fn zero(disk: SimulatedDisk, name: &str, from: usize, to: usize) -> SimulatedDisk {
    edit(disk, name, |bytes| bytes[from..to].fill(0))
}

fn cut(disk: SimulatedDisk, name: &str, length: usize) -> SimulatedDisk {
    edit(disk, name, |bytes| bytes.resize(length, 0))
}

fn without(disk: SimulatedDisk, names: &[String]) -> SimulatedDisk {
    names.iter().for_each(|name| disk.remove(name).unwrap());
    disk.sync_folder().unwrap();
    disk
}

/// Copies one file of `from`.
fn with_file_of(disk: SimulatedDisk, from: &SimulatedDisk, name: &str) -> SimulatedDisk {
    disk.put(name, &from.contents(name).unwrap());
    disk
}

/// The usual log when its third segment had just been put in its place: the second is not sealed yet.
fn rolling() -> SimulatedDisk {
    let disk = usual();
    let disk = zero(disk, &segment(2), 848, 1024);
    zero(disk, &segment(3), 128, 1024)
}

fn of_another_replica() -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    let (mut log, _) = open(&disk).unwrap();
    let identity = Identity {
        cluster: 77,
        replica: 9,
    };
    log.initialise(identity).unwrap();
    log.append(Some(hard_state(1, 2, 0)), &[entry(1, 1)], true)
        .unwrap();
    fill(&mut log, 2, 8, 1);
    disk
}

const LOG: &[Case] = &[
    case("nothing happened", usual, "entries 1 to 8, commit 0"),
    case(
        "an empty folder",
        || SimulatedDisk::new(1),
        "nothing was ever written",
    ),
    case(
        "a bit of the last record's payload flipped: it could be torn",
        || flip(usual(), &segment(3), 500),
        "entries 1 to 7, commit 0, 240 bytes cut",
    ),
    case(
        "a bit of the last record's header flipped",
        || flip(usual(), &segment(3), 368),
        "entries 1 to 7, commit 0, 240 bytes cut",
    ),
    case(
        "the last record's length flipped beyond the segment",
        || flip(usual(), &segment(3), 371),
        "entries 1 to 7, commit 0, 240 bytes cut",
    ),
    case(
        "the last record was torn in its middle",
        || zero(usual(), &segment(3), 450, 608),
        "entries 1 to 7, commit 0, 82 bytes cut",
    ),
    case(
        "only the second half of the last record was written",
        || zero(usual(), &segment(3), 368, 450),
        "entries 1 to 7, commit 0, 240 bytes cut",
    ),
    case(
        "the last record was not written at all",
        || zero(usual(), &segment(3), 368, 608),
        "entries 1 to 7, commit 0",
    ),
    case(
        "garbage lies behind the last record",
        || edit(usual(), &segment(3), |bytes| bytes[608..900].fill(7)),
        "entries 1 to 8, commit 0, 292 bytes cut",
    ),
    case(
        "garbage lies at the very end, where no record fits",
        || edit(usual(), &segment(3), |bytes| bytes[1020..].fill(7)),
        "entries 1 to 8, commit 0, 416 bytes cut",
    ),
    case(
        "a torn tail in the only segment",
        || zero(unsynced(), &segment(1), 500, 656),
        "entries 1 to 1, commit 0, 480 bytes cut",
    ),
    case(
        "of two writes that were not synced the first was lost",
        || zero(unsynced(), &segment(1), 416, 656),
        "entries 1 to 1, commit 0, 480 bytes cut",
    ),
    case(
        "the record before two that were not synced is damaged",
        || flip(unsynced(), &segment(1), 300),
        "log-00000000000000000001.wal is damaged at byte 176: the checksum of a record's payload is wrong, and what comes \
         after it shows that it was durable, entries 1 to 3 are lost with it",
    ),
    case(
        "a record was damaged after a later one was synced",
        || flip(usual(), &segment(3), 200),
        "log-00000000000000000003.wal is damaged at byte 128: the checksum of a record's payload is wrong, and what comes \
         after it shows that it was durable, entries 7 to 8 are lost with it",
    ),
    case(
        "a record's header was damaged after a later one was synced",
        || flip(usual(), &segment(3), 140),
        "log-00000000000000000003.wal is damaged at byte 128: the checksum of a record's header is wrong, and what comes \
         after it shows that it was durable, entries 7 to 8 are lost with it",
    ),
    case(
        "a record was zeroed after a later one was synced",
        || zero(usual(), &segment(3), 128, 368),
        "log-00000000000000000003.wal is damaged at byte 128: zeroes stand where a record should be, and what comes after it \
         shows that it was durable, entries 7 to 8 are lost with it",
    ),
    case(
        "a record in a middle segment was damaged",
        || flip(usual(), &segment(2), 400),
        "log-00000000000000000002.wal is damaged at byte 368: the checksum of a record's payload is wrong, and what comes \
         after it shows that it was durable, entries 5 to 6 are lost with it",
    ),
    case(
        "the last entry of a middle segment and its seal were zeroed",
        || zero(usual(), &segment(2), 608, 1024),
        "log-00000000000000000002.wal is damaged at byte 608: zeroes stand where a record should be, and what comes after it \
         shows that it was durable, entry 6 is lost with it",
    ),
    case(
        "the hard state in the first segment was damaged",
        || flip(usual(), &segment(1), 160),
        "log-00000000000000000001.wal is damaged at byte 128: the checksum of a record's payload is wrong, and what comes \
         after it shows that it was durable, entries 1 to 3 are lost with it",
    ),
    case(
        "the seal of a middle segment was damaged",
        || flip(usual(), &segment(2), 860),
        "log-00000000000000000002.wal is damaged at byte 848: the checksum of a record's header is wrong, and what comes \
         after it shows that it was durable",
    ),
    case(
        "the padding behind a record was damaged: it means nothing",
        || flip(usual(), &segment(1), 900 + 60),
        "entries 1 to 8, commit 0",
    ),
    case(
        "a segment's magic was damaged",
        || flip(usual(), &segment(2), 0),
        "log-00000000000000000002.wal begins with [42, 4f, 4e, 56, 4f, 59, 57, 4c] instead of [43, 4f, 4e, 56, 4f, 59, 57, 4c]: \
         it is no log segment of Convoy's, or it is damaged",
    ),
    case(
        "a segment is of a later release",
        || edit(usual(), &segment(3), |bytes| bytes[8] = 2),
        "log-00000000000000000003.wal has format version 2 and this release reads version 1",
    ),
    case(
        "a segment's header was damaged",
        || flip(usual(), &segment(2), 50),
        "log-00000000000000000002.wal is damaged at byte 0: the checksum of the segment's header is wrong",
    ),
    case(
        "the newest segment's header was damaged",
        || flip(usual(), &segment(3), 90),
        "log-00000000000000000003.wal is damaged at byte 0: the checksum of the segment's header is wrong",
    ),
    case(
        "a segment was cut at its last record",
        || cut(usual(), &segment(3), 608),
        "log-00000000000000000003.wal is 608 bytes long and should be 1024: it was cut or extended from outside",
    ),
    case(
        "a segment was cut in its header",
        || cut(usual(), &segment(1), 100),
        "log-00000000000000000001.wal is 100 bytes long and should be 128: it was cut or extended from outside",
    ),
    case(
        "a segment is empty",
        || cut(usual(), &segment(3), 0),
        "log-00000000000000000003.wal is 0 bytes long and should be 128: it was cut or extended from outside",
    ),
    case(
        "a segment is one byte too long",
        || cut(usual(), &segment(2), 1025),
        "log-00000000000000000002.wal is 1025 bytes long and should be 1024: it was cut or extended from outside",
    ),
    case(
        "the first segment is missing",
        || without(usual(), &[segment(1)]),
        "log-00000000000000000001.wal is missing, entries 1 to 3 are lost with it",
    ),
    case(
        "a middle segment is missing",
        || without(usual(), &[segment(2)]),
        "log-00000000000000000002.wal is missing, entries 1 to 6 are lost with it",
    ),
    case(
        "the last segment is missing",
        || without(usual(), &[segment(3)]),
        "log-00000000000000000003.wal is missing",
    ),
    case(
        "all segments are missing and a snapshot is there",
        || without(with_snapshots(), &[segment(1), segment(2), segment(3)]),
        "the log (log-*.wal) is missing",
    ),
    case(
        "all segments are missing and the reserve is there",
        || {
            let disk = SimulatedDisk::new(1);
            let limits = convoy_journal::JournalLimits {
                reserve_bytes: 512,
                ..LIMITS
            };
            initialised_with(&disk, limits);
            without(disk, &[segment(1)])
        },
        "the log (log-*.wal) is missing",
    ),
    case(
        "a segment was renamed",
        || {
            let disk = usual();
            disk.put(&segment(4), &disk.contents(&segment(1)).unwrap());
            without(disk, &[])
        },
        "log-00000000000000000004.wal is damaged at byte 16: it says it is log-00000000000000000001.wal: it was renamed",
    ),
    case(
        "a segment was swapped with another replica's",
        || with_file_of(usual(), &of_another_replica(), &segment(2)),
        "log-00000000000000000002.wal is damaged at byte 32: it belongs to another replica than the segment before",
    ),
    case(
        "a segment was put back from an older copy",
        || with_file_of(usual(), &rolling(), &segment(2)),
        "log-00000000000000000002.wal is damaged at byte 848: zeroes stand where a record should be, and what comes after it \
         shows that it was durable",
    ),
    case(
        "a segment was put back from another history",
        || {
            let other = SimulatedDisk::new(1);
            let mut log = initialised(&other);
            log.append(Some(hard_state(1, 3, 0)), &[entry(1, 1)], true)
                .unwrap();
            fill(&mut log, 2, 8, 1);
            with_file_of(usual(), &other, &segment(1))
        },
        "log-00000000000000000002.wal is damaged at byte 104: it does not follow on the segment before as that one ends",
    ),
    case(
        "files of others lie in the folder",
        || {
            let disk = usual();
            disk.put("notes.txt", b"");
            disk.put("log-3.wal", b"");
            disk
        },
        "entries 1 to 8, commit 0",
    ),
];

const INTERRUPTED: &[Case] = &[
    case(
        "stopped before a new segment was renamed",
        || {
            let disk = usual();
            disk.put("log.tmp", &disk.contents(&segment(3)).unwrap());
            disk
        },
        "entries 1 to 8, commit 0",
    ),
    case(
        "stopped while a new segment was created",
        || {
            let disk = usual();
            disk.put("log.tmp", &[0; 300]);
            disk
        },
        "entries 1 to 8, commit 0",
    ),
    case(
        "stopped before a full segment was sealed",
        rolling,
        "entries 1 to 6, commit 0",
    ),
    case(
        "stopped while a full segment was sealed",
        || {
            let disk = rolling();
            edit(disk, &segment(2), |bytes| bytes[850] = 1)
        },
        "entries 1 to 6, commit 0, 3 bytes cut",
    ),
    case(
        "stopped before a full segment was sealed, its last record torn",
        || zero(rolling(), &segment(2), 700, 848),
        "entries 1 to 5, commit 0, 92 bytes cut",
    ),
    case(
        "a segment has no seal and the next has a record",
        || zero(usual(), &segment(2), 848, 1024),
        "log-00000000000000000002.wal is damaged at byte 848: zeroes stand where a record should be, and what comes after it \
         shows that it was durable",
    ),
    case(
        "stopped in initialise before the rename",
        || {
            let disk = SimulatedDisk::new(1);
            disk.put("log.tmp", &[0; 1024]);
            disk
        },
        "nothing was ever written",
    ),
    case(
        "compacted",
        compacted,
        "entries 7 to 8, commit 6, snapshot 6",
    ),
    case(
        "stopped in compaction before any segment was removed",
        || {
            let disk = with_snapshots();
            let compacted = compacted();
            with_file_of(disk, &compacted, &segment(3))
        },
        "entries 7 to 8, commit 6, snapshot 6",
    ),
    case(
        "stopped in compaction, a later segment was removed and an earlier one was not",
        || {
            let disk = compacted();
            with_file_of(disk, &usual(), &segment(1))
        },
        "entries 7 to 8, commit 6, snapshot 6",
    ),
    case(
        "a segment is missing that compaction would remove",
        || without(with_snapshots(), &[segment(1)]),
        "log-00000000000000000001.wal is missing, entries 1 to 3 are lost with it",
    ),
    case(
        "the record of a compaction was damaged",
        || flip(compacted(), &segment(3), 660),
        "log-00000000000000000002.wal is missing, entries 1 to 6 are lost with it",
    ),
    case(
        "stopped before a snapshot was renamed",
        || {
            let disk = without(with_snapshots(), &[snapshot_file(6, 1)]);
            let whole = with_snapshots().contents(&snapshot_file(6, 1)).unwrap();
            disk.put(&format!("{}.0.tmp", snapshot_file(6, 1)), &whole);
            disk
        },
        "entries 1 to 8, commit 6, snapshot 3",
    ),
    case(
        "stopped while a snapshot was written",
        || {
            let disk = usual();
            disk.put(&format!("{}.0.tmp", snapshot_file(6, 1)), b"CONVOYSN");
            disk
        },
        "entries 1 to 8, commit 0",
    ),
    case(
        "stopped after a received snapshot was renamed, before the log was told",
        || {
            let disk = usual();
            snapshot(&disk, 20, 3);
            disk
        },
        "no entries after 20, commit 20, term 3, snapshot 20",
    ),
    case(
        "the same, and the snapshot ends within a log that contradicts it",
        || {
            let disk = usual();
            snapshot(&disk, 5, 2);
            disk
        },
        "no entries after 5, commit 5, term 2, snapshot 5",
    ),
    case(
        "stopped while the reserve was made",
        || {
            let disk = usual();
            disk.put("reserve.tmp", &[0; 100]);
            disk
        },
        "entries 1 to 8, commit 0",
    ),
    case(
        "the reserve has another length than is wanted",
        || {
            let disk = usual();
            disk.put("reserve.wal", &[0; 100]);
            disk
        },
        "entries 1 to 8, commit 0",
    ),
];

const SNAPSHOTS: &[Case] = &[
    case(
        "the newest of two snapshots is damaged and the log reaches back to the other",
        || flip(with_snapshots(), &snapshot_file(6, 1), 100),
        "entries 1 to 8, commit 6, snapshot 3, set aside snapshot-00000000000000000006-00000000000000000001.bin",
    ),
    case(
        "both snapshots are damaged",
        || {
            let disk = flip(with_snapshots(), &snapshot_file(6, 1), 100);
            flip(disk, &snapshot_file(3, 1), 100)
        },
        "snapshot-00000000000000000006-00000000000000000001.bin is damaged at byte 80: the checksum of a chunk is wrong",
    ),
    case(
        "the newest snapshot is damaged and the log begins after the other",
        || flip(compacted(), &snapshot_file(6, 1), 100),
        "snapshot-00000000000000000006-00000000000000000001.bin is damaged at byte 80: the checksum of a chunk is wrong",
    ),
    case(
        "the only snapshot is damaged",
        || {
            let disk = flip(with_snapshots(), &snapshot_file(6, 1), 100);
            without(disk, &[snapshot_file(3, 1)])
        },
        "snapshot-00000000000000000006-00000000000000000001.bin is damaged at byte 80: the checksum of a chunk is wrong",
    ),
    case(
        "the snapshot's header is damaged",
        || flip(compacted(), &snapshot_file(6, 1), 60),
        "snapshot-00000000000000000006-00000000000000000001.bin is damaged at byte 0: the checksum of the snapshot's header \
         is wrong",
    ),
    case(
        "the length in the snapshot's header is damaged",
        || edit(compacted(), &snapshot_file(6, 1), |bytes| bytes[19] = 1),
        "snapshot-00000000000000000006-00000000000000000001.bin is damaged at byte 16: its header would have 16777296 bytes, 56 \
         to 8248 are possible",
    ),
    case(
        "the snapshot's trailer is damaged",
        || flip(compacted(), &snapshot_file(6, 1), 120),
        "snapshot-00000000000000000006-00000000000000000001.bin is damaged at byte 112: it does not end with a trailer: it was \
         cut, or its end is damaged",
    ),
    case(
        "the snapshot was cut",
        || cut(compacted(), &snapshot_file(6, 1), 130),
        "snapshot-00000000000000000006-00000000000000000001.bin is damaged at byte 106: it does not end with a trailer: it was \
         cut, or its end is damaged",
    ),
    case(
        "the snapshot was cut in its header",
        || cut(compacted(), &snapshot_file(6, 1), 79),
        "snapshot-00000000000000000006-00000000000000000001.bin is 79 bytes long and should be 80: it was cut or extended from \
         outside",
    ),
    case(
        "the snapshot is empty",
        || cut(compacted(), &snapshot_file(6, 1), 0),
        "snapshot-00000000000000000006-00000000000000000001.bin is 0 bytes long and should be 80: it was cut or extended from \
         outside",
    ),
    case(
        "bytes were taken out of the snapshot's middle",
        || {
            edit(compacted(), &snapshot_file(6, 1), |bytes| {
                drop(bytes.drain(90..98))
            })
        },
        "snapshot-00000000000000000006-00000000000000000001.bin is 128 bytes long and should be 136: it was cut or extended \
         from outside",
    ),
    case(
        "the snapshot is no snapshot",
        || {
            edit(compacted(), &snapshot_file(6, 1), |bytes| {
                bytes[..8].fill(0)
            })
        },
        "snapshot-00000000000000000006-00000000000000000001.bin begins with [00, 00, 00, 00, 00, 00, 00, 00] instead of [43, \
         4f, 4e, 56, 4f, 59, 53, 4e]: it is no snapshot of Convoy's, or it is damaged",
    ),
    case(
        "the snapshot is of a later release, and an older one is no replacement",
        || edit(with_snapshots(), &snapshot_file(6, 1), |bytes| bytes[8] = 2),
        "snapshot-00000000000000000006-00000000000000000001.bin has format version 2 and this release reads version 1",
    ),
    case(
        "the snapshot was renamed",
        || {
            let disk = compacted();
            disk.rename(&snapshot_file(6, 1), &snapshot_file(7, 1))
                .unwrap();
            disk
        },
        "snapshot-00000000000000000007-00000000000000000001.bin is damaged at byte 24: it says it ends with entry 6 of term 1: \
         it was renamed",
    ),
    case(
        "all snapshots are missing and the log was compacted",
        || without(compacted(), &[snapshot_file(3, 1), snapshot_file(6, 1)]),
        "the log begins after entry 6 and no snapshot that can be read reaches it (there is none)",
    ),
    case(
        "the newest snapshot is missing and the log was compacted",
        || without(compacted(), &[snapshot_file(6, 1)]),
        "the log begins after entry 6 and no snapshot that can be read reaches it (the newest is \
         snapshot-00000000000000000003-00000000000000000001.bin)",
    ),
    case(
        "the newest snapshot is missing and the log reaches back",
        || without(with_snapshots(), &[snapshot_file(6, 1)]),
        "entries 1 to 8, commit 6, snapshot 3",
    ),
    case(
        "a snapshot contradicts committed entries",
        || {
            let disk = without(with_snapshots(), &[snapshot_file(6, 1)]);
            snapshot(&disk, 5, 4);
            disk
        },
        "snapshot-00000000000000000005-00000000000000000004.bin is damaged at byte 0: it ends with entry 5 of term 4, and the \
         log has another committed entry there",
    ),
];

fn outcome(opened: &Result<Recovered, JournalError>) -> String {
    let found = match opened {
        Ok(found) => found,
        Err(error) => {
            let text = error.to_string();
            return text.split(';').next().unwrap().to_owned();
        }
    };
    if found.identity.is_none() {
        return "nothing was ever written".to_owned();
    }
    let mut text = match (found.entries.first(), found.entries.last()) {
        (Some(first), Some(last)) => format!("entries {} to {}", first.index, last.index),
        _ => format!("no entries after {}", found.start.index),
    };
    text += &format!(", commit {}", found.hard_state.commit);
    if found.hard_state.term != 1 {
        text += &format!(", term {}", found.hard_state.term);
    }
    if let Some(meta) = &found.snapshot {
        text += &format!(", snapshot {}", meta.index);
    }
    if found.torn_bytes > 0 {
        text += &format!(", {} bytes cut", found.torn_bytes);
    }
    for name in &found.set_aside {
        text += &format!(", set aside {name}");
    }
    text
}

/// A log that was recovered goes on: what is written next is found again, and so is what was there.
fn goes_on(disk: &SimulatedDisk, context: &str) {
    let (mut log, found) = open(disk).unwrap();
    if found.identity.is_none() {
        return;
    }
    assert_eq!(
        (found.torn_bytes, &found.set_aside),
        (0, &vec![]),
        "{context}"
    );
    let (last, term) = (found.last().index, found.hard_state.term + 1);
    let next = [entry(last + 1, term), entry(last + 2, term)];
    log.append(Some(hard_state(term, 0, last)), &next, true)
        .unwrap();
    let (_, again) = open(&disk.crash()).unwrap();
    assert_eq!(again.entries.len(), found.entries.len() + 2, "{context}");
    assert_eq!(
        again.entries[..found.entries.len()],
        found.entries,
        "{context}"
    );
    assert_eq!(again.entries[found.entries.len()..], next, "{context}");
}

fn check(cases: &[Case]) {
    for case in cases {
        let disk = (case.disk)();
        let before = everything(&disk);
        let opened = open(&disk).map(|(_, found)| found);
        let text = outcome(&opened);
        assert_eq!(text, case.expected, "{}", case.name);
        if let Err(error) = opened {
            let advice = error.to_string();
            let says = ["put", "replace", "restore", "start"];
            assert!(says.iter().any(|word| advice.contains(word)), "{advice}");
            assert_eq!(everything(&disk), before, "{}: touched", case.name);
        } else {
            goes_on(&disk, case.name);
        }
    }
}

#[test]
fn damaged_log_is_cut_or_refused_with_file_and_offset() {
    check(LOG);
}

#[test]
fn interrupted_change_is_finished_or_taken_back() {
    check(INTERRUPTED);
}

#[test]
fn damaged_snapshot_is_replaced_by_an_older_one_and_the_log_or_refused() {
    check(SNAPSHOTS);
}

#[test]
fn what_was_left_over_is_removed() {
    for (cases, more) in [(LOG, 2), (INTERRUPTED, 0), (SNAPSHOTS, 1)] {
        for case in cases {
            let disk = (case.disk)();
            if open(&disk).is_err() {
                continue;
            }
            let ours = |name: &String| {
                name.starts_with("log-") || name.starts_with("snapshot-") && name.ends_with(".bin")
            };
            let others: Vec<_> = disk.list().unwrap();
            let count = others.iter().filter(|name| !ours(name)).count();
            assert!(count <= more, "{}: {others:?}", case.name);
        }
    }
}
