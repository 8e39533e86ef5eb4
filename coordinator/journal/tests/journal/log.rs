//! Appending, compacting, restarting; what is refused and what is fatal.

use std::sync::Arc;

use convoy_journal::{Disk, Entry, HardState, Journal, JournalError, Position, SimulatedDisk};

use crate::fixture::{
    IDENTITY, LIMITS, Log, at, entry, entry_of, fill, hard_state, initialised, open, segment,
    snapshot,
};

fn positions(entries: &[Entry]) -> Vec<(u64, u64)> {
    entries
        .iter()
        .map(|entry| (entry.index, entry.term))
        .collect()
}

#[test]
fn owner_and_all_that_was_appended_is_found_again() {
    let disk = SimulatedDisk::new(1);
    let mut log = initialised(&disk);
    let entries = [entry(1, 1), entry_of(2, 1, 0), entry(3, 2)];
    log.append(Some(hard_state(2, 3, 1)), &entries, true)
        .unwrap();
    let (_, found) = open(&disk.crash()).unwrap();
    assert_eq!(found.identity, Some(IDENTITY));
    assert_eq!(found.hard_state, hard_state(2, 3, 1));
    assert_eq!(found.entries, entries);
    assert_eq!((found.start, found.last()), (at(0, 0), at(3, 2)));
    assert_eq!((found.snapshot, found.torn_bytes), (None, 0));
}

#[test]
fn group_takes_one_write_and_one_sync_and_none_where_nothing_is_new() {
    let disk = SimulatedDisk::new(1);
    let mut log = initialised(&disk);
    let count = |disk: &SimulatedDisk| (disk.changes(), disk.syncs());
    let before = count(&disk);
    let group: Vec<Entry> = (1..=8).map(|index| entry_of(index, 1, 10)).collect();
    log.append(Some(hard_state(1, 1, 3)), &group, true).unwrap();
    assert_eq!(count(&disk), (before.0 + 2, before.1 + 1));
    log.append(Some(hard_state(1, 1, 3)), &[], true).unwrap();
    assert_eq!(count(&disk), (before.0 + 2, before.1 + 1));
    log.append(None, &[entry_of(9, 1, 10)], false).unwrap();
    log.append(None, &[entry_of(10, 1, 10)], false).unwrap();
    assert_eq!(disk.syncs(), before.1 + 1);
    log.append(None, &[], true).unwrap();
    assert_eq!(disk.syncs(), before.1 + 2);
}

#[test]
fn entry_in_the_place_of_another_cuts_everything_from_there() {
    let disk = SimulatedDisk::new(1);
    let mut log = initialised(&disk);
    fill(&mut log, 1, 7, 1);
    log.append(Some(hard_state(2, 0, 1)), &[entry(3, 2), entry(4, 2)], true)
        .unwrap();
    let expected = [(1, 1), (2, 1), (3, 2), (4, 2)];
    let (mut log, found) = open(&disk.crash()).unwrap();
    assert_eq!(positions(&found.entries), expected);
    log.append(None, &[entry(2, 2)], true).unwrap();
    drop(log);
}

#[test]
fn group_longer_than_a_segment_is_spread_over_several() {
    let disk = SimulatedDisk::new(1);
    let mut log = initialised(&disk);
    let group: Vec<Entry> = (1..=20).map(|index| entry(index, 1)).collect();
    log.append(Some(hard_state(1, 1, 20)), &group, true)
        .unwrap();
    assert_eq!(disk.list().unwrap().len(), 7);
    let (_, found) = open(&disk.crash()).unwrap();
    assert_eq!(found.entries, group);
    assert_eq!(found.hard_state.commit, 20);
}

#[test]
fn longest_entry_fits_and_one_byte_more_is_refused() {
    let disk = SimulatedDisk::new(1);
    let mut log = initialised(&disk);
    let most = LIMITS.max_entry_bytes() as usize;
    for index in 1..=3 {
        log.append(None, &[entry_of(index, 1, most)], true).unwrap();
    }
    let error = log
        .append(None, &[entry_of(4, 1, most + 1)], true)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("entry 4 has 825 bytes, 824 are allowed"),
        "{error}"
    );
    let (_, found) = open(&disk).unwrap();
    assert_eq!(found.entries.len(), 3);
}

#[test]
fn compaction_removes_whole_segments_and_keeps_the_rest_exact() {
    let disk = SimulatedDisk::new(1);
    let mut log = initialised(&disk);
    fill(&mut log, 1, 8, 1);
    log.append(Some(hard_state(1, 0, 8)), &[], true).unwrap();
    snapshot(&disk, 8, 1);
    let before = log.bytes();
    log.compact(3).unwrap();
    assert_eq!(log.bytes(), before, "no segment could go");
    log.compact(6).unwrap();
    assert!(log.bytes() < before);
    assert!(disk.contents(&segment(1)).is_none() && disk.contents(&segment(2)).is_some());
    let (mut log, found) = open(&disk.crash()).unwrap();
    assert_eq!(found.start, at(5, 1));
    assert_eq!(positions(&found.entries), [(6, 1), (7, 1), (8, 1)]);
    log.compact(2).unwrap();
    fill(&mut log, 9, 9, 1);
}

#[test]
fn log_begins_anew_after_an_installed_snapshot() {
    let disk = SimulatedDisk::new(1);
    let mut log = initialised(&disk);
    fill(&mut log, 1, 5, 1);
    snapshot(&disk, 30, 4);
    log.restart_after(at(30, 4)).unwrap();
    log.append(Some(hard_state(4, 0, 30)), &[entry(31, 4)], true)
        .unwrap();
    assert!(
        disk.contents(&segment(1)).is_none(),
        "it holds nothing more"
    );
    let (_, found) = open(&disk.crash()).unwrap();
    assert_eq!(found.start, at(30, 4));
    assert_eq!(positions(&found.entries), [(31, 4)]);
    assert_eq!(found.hard_state, hard_state(4, 0, 30));
}

#[test]
fn entries_after_a_snapshot_that_agrees_with_the_log_stay() {
    let disk = SimulatedDisk::new(1);
    let mut log = initialised(&disk);
    fill(&mut log, 1, 5, 1);
    snapshot(&disk, 4, 1);
    log.restart_after(at(4, 1)).unwrap();
    let (mut log, found) = open(&disk.crash()).unwrap();
    assert_eq!((found.start, found.last()), (at(4, 1), at(5, 1)));
    log.restart_after(at(4, 1)).unwrap();
}

#[test]
fn snapshot_that_the_log_was_not_told_of_is_told_with_the_next_write() {
    let disk = SimulatedDisk::new(1);
    let mut log = initialised(&disk);
    fill(&mut log, 1, 5, 1);
    snapshot(&disk, 30, 4);
    drop(log);
    let (mut log, found) = open(&disk).unwrap();
    assert_eq!(found.last(), at(30, 4));
    assert_eq!(found.hard_state, hard_state(4, 0, 30));
    log.restart_after(at(30, 4)).unwrap();
    log.append(Some(hard_state(5, 1, 31)), &[entry(31, 5)], true)
        .unwrap();
    let (_, found) = open(&disk.crash()).unwrap();
    assert_eq!(positions(&found.entries), [(31, 5)]);
    assert_eq!(found.start, at(30, 4));
}

/// Bytes behind a torn record must not come to life when the same record is written again at its place.
#[test]
fn record_behind_a_torn_one_never_comes_back() {
    let disk = SimulatedDisk::new(1);
    let mut log = initialised(&disk);
    log.append(None, &[entry_of(1, 1, 40)], false).unwrap();
    log.append(None, &[entry_of(2, 1, 40)], false).unwrap();
    drop(log);
    // The first of the two writes was lost, the second was not.
    let mut bytes = disk.contents(&segment(1)).unwrap();
    bytes[128..208].fill(0);
    disk.put(&segment(1), &bytes);
    let (mut log, found) = open(&disk).unwrap();
    assert_eq!((found.entries.len(), found.torn_bytes), (0, 160));
    log.append(None, &[entry_of(1, 1, 40)], true).unwrap();
    let (_, found) = open(&disk.crash()).unwrap();
    assert_eq!(positions(&found.entries), [(1, 1)]);
}

/// Even where it lies right behind a record of the same length, and its own checksums are right.
#[test]
fn record_that_followed_on_another_is_none() {
    let write = |first: Entry| {
        let disk = SimulatedDisk::new(1);
        let mut log = initialised(&disk);
        log.append(None, &[first], false).unwrap();
        log.append(None, &[entry_of(2, 1, 40)], false).unwrap();
        disk.contents(&segment(1)).unwrap()
    };
    let old = write(entry_of(1, 1, 40));
    let mut bytes = write(Entry {
        data: vec![9; 40],
        ..entry_of(1, 1, 40)
    });
    bytes[208..288].copy_from_slice(&old[208..288]);
    let disk = SimulatedDisk::new(1);
    disk.put(&segment(1), &bytes);
    let (_, found) = open(&disk).unwrap();
    assert_eq!(positions(&found.entries), [(1, 1)]);
    assert_eq!(found.entries[0].data, [9; 40]);
    assert_eq!(found.torn_bytes, 80);
}

/// What a killed process wrote and did not sync is seen by the next one, which reports it as durable.
#[test]
fn what_is_reported_at_open_is_durable() {
    for seed in 0..100 {
        let disk = SimulatedDisk::new(seed);
        let mut log = initialised(&disk);
        log.append(Some(hard_state(1, 2, 0)), &[entry(1, 1)], false)
            .unwrap();
        drop(log);
        let (_, found) = open(&disk).unwrap();
        let (_, again) = open(&disk.crash()).unwrap();
        assert_eq!(found, again, "seed {seed}");
    }
}

#[test]
fn failed_sync_is_fatal_and_closes_the_log() {
    let disk = SimulatedDisk::new(1);
    let mut log = initialised(&disk);
    log.append(None, &[entry(1, 1)], true).unwrap();
    disk.fail_sync_after(Some(0));
    let error = log.append(None, &[entry(2, 1)], true).unwrap_err();
    assert!(error.is_fatal() && !error.is_full(), "{error}");
    assert!(
        error
            .to_string()
            .starts_with(&format!("cannot sync {}", segment(1))),
        "{error}"
    );
    closed(&mut log);
    let (_, found) = open(&disk.crash()).unwrap();
    assert_eq!(found.entries[0], entry(1, 1));
}

#[test]
fn failed_write_is_fatal_and_closes_the_log() {
    let disk = SimulatedDisk::new(1);
    let mut log = initialised(&disk);
    disk.fail_write_after(Some(0));
    let error = log.append(None, &[entry(1, 1)], true).unwrap_err();
    assert!(error.is_fatal(), "{error}");
    closed(&mut log);
}

/// Every sync on the way into a new segment.
#[test]
fn failed_sync_of_a_new_segment_is_fatal_wherever_it_happens() {
    for syncs in 0..3 {
        let disk = SimulatedDisk::new(syncs);
        let mut log = initialised(&disk);
        fill(&mut log, 1, 3, 1);
        disk.fail_sync_after(Some(syncs));
        let error = log.append(None, &[entry(4, 1)], false).unwrap_err();
        assert!(error.is_fatal(), "{syncs}: {error}");
        closed(&mut log);
        let (_, found) = open(&disk.crash()).unwrap();
        assert_eq!(found.entries.len(), 3);
    }
}

fn closed(log: &mut Log) {
    let errors = [
        log.append(None, &[], false).unwrap_err(),
        log.compact(2).unwrap_err(),
        log.restart_after(at(9, 9)).unwrap_err(),
        log.initialise(IDENTITY).unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, JournalError::Poisoned { .. }) && error.is_fatal());
    }
    assert!(log.room().is_err());
}

#[test]
fn log_without_an_owner_takes_nothing_and_one_with_an_owner_no_other() {
    let disk = SimulatedDisk::new(1);
    let (mut log, found) = open(&disk).unwrap();
    assert_eq!(found.identity, None);
    assert!(log.append(None, &[entry(1, 1)], true).is_err());
    log.initialise(IDENTITY).unwrap();
    let error = log.initialise(IDENTITY).unwrap_err();
    assert!(
        matches!(error, JournalError::AlreadyInitialised { .. }),
        "{error}"
    );
    log.append(None, &[entry(1, 1)], true).unwrap();
}

type Act = fn(&mut Log) -> Result<(), JournalError>;

/// A log of entries 1 to 5 of term 2, of which 3 are committed, with a snapshot at 3; vote 1 was given in term 3.
#[test]
fn what_would_break_the_log_is_refused_and_changes_nothing() {
    let cases: [(&str, Act); 14] = [
        (
            "does not follow the log, which takes entries 1 to 6",
            |log| log.append(None, &[entry(7, 3)], true),
        ),
        ("entry 3 is committed (3 are) and stays", |log| {
            log.append(None, &[entry(3, 3)], true)
        }),
        ("entry 6 has term 1, below its predecessor's 2", |log| {
            log.append(None, &[entry(6, 1)], true)
        }),
        ("cannot follow on", |log| {
            log.append(None, &[entry(6, 3), entry(8, 3)], true)
        }),
        ("cannot follow on", |log| {
            log.append(None, &[entry(6, 4), entry(7, 3)], true)
        }),
        ("in a log that ends with 5", |log| {
            log.append(Some(hard_state(3, 1, 6)), &[], true)
        }),
        ("in a log that ends with 4", |log| {
            log.append(Some(hard_state(3, 1, 5)), &[entry(4, 3)], true)
        }),
        ("cannot follow HardState", |log| {
            log.append(Some(hard_state(2, 1, 3)), &[], true)
        }),
        ("cannot follow HardState", |log| {
            log.append(Some(hard_state(3, 2, 3)), &[], true)
        }),
        ("cannot follow HardState", |log| {
            log.append(Some(hard_state(3, 1, 2)), &[], true)
        }),
        ("entries to 3 are committed", |log| {
            log.restart_after(at(2, 2))
        }),
        ("entries to 3 are committed", |log| {
            log.restart_after(at(3, 9))
        }),
        ("an entry that no snapshot contains", |log| {
            log.restart_after(at(9, 9))
        }),
        ("an entry that no snapshot contains", |log| log.compact(5)),
    ];
    for (expected, act) in cases {
        let disk = SimulatedDisk::new(1);
        let mut log = initialised(&disk);
        fill(&mut log, 1, 5, 2);
        let state: HardState = hard_state(3, 1, 3);
        log.append(Some(state), &[], true).unwrap();
        snapshot(&disk, 3, 2);
        let before = crate::fixture::everything(&disk);
        let error = act(&mut log).unwrap_err();
        assert!(matches!(error, JournalError::Misuse { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(crate::fixture::everything(&disk), before, "{expected}");
        fill(&mut log, 6, 6, 3);
    }
}

#[test]
fn limits_that_make_no_sense_are_refused() {
    for (segment_bytes, reserve_bytes) in [(511, 0), (1 << 31, 0), (1024, 100)] {
        let limits = convoy_journal::JournalLimits {
            segment_bytes,
            reserve_bytes,
            ..LIMITS
        };
        let opened = Journal::open(Arc::new(SimulatedDisk::new(1)), limits);
        assert!(matches!(opened, Err(JournalError::Misuse { .. })));
    }
    let position: Position = at(1, 1);
    assert_eq!(position.index, 1);
    assert!(SimulatedDisk::new(1).list().unwrap().is_empty());
}

/// The same on a file system, with segments that are prepared on the way.
#[test]
fn log_on_a_real_disk_is_found_again_over_several_segments() {
    let folder = tempfile::tempdir().unwrap();
    let limits = convoy_journal::JournalLimits {
        segment_bytes: 1 << 20,
        reserve_bytes: 4096,
        refuse_below_bytes: 0,
    };
    let open = || {
        let disk = Arc::new(convoy_journal::RealDisk::open(folder.path()).unwrap());
        let (log, found) = Journal::open(Arc::clone(&disk), limits).unwrap();
        (disk, log, found)
    };
    let (disk, mut log, _) = open();
    log.initialise(IDENTITY).unwrap();
    let group = |first: u64| -> Vec<Entry> {
        (first..first + 64)
            .map(|index| entry_of(index, 1, 1000))
            .collect()
    };
    for first in (1..).step_by(64).take(50) {
        log.append(Some(hard_state(1, 1, first - 1)), &group(first), true)
            .unwrap();
    }
    assert!(log.room().unwrap().is_enough());
    drop((disk, log));
    let (disk, _, found) = open();
    assert_eq!(found.entries.len(), 3200);
    assert_eq!(found.entries[3100..3136], group(3101)[..36]);
    let mut names = disk.list().unwrap();
    names.sort();
    assert_eq!(names.len(), 5, "{names:?}");
    assert_eq!(names[4], "reserve.wal");
}
