//! A disk that fills up: writes of clients are refused first, Raft's own go on from the reserve, reading always works, and
//! everything recovers when there is room again.

use convoy_journal::{Disk, JournalLimits, SimulatedDisk};

use crate::fixture::{entry, everything, fill, hard_state, initialised_with, open_with, snapshot};

const LIMITS: JournalLimits = JournalLimits {
    segment_bytes: 1024,
    reserve_bytes: 512,
    refuse_below_bytes: 1500,
};

/// Entries of 200 bytes that fit into the reserve.
const IN_RESERVE: u64 = 1;

#[test]
fn writes_are_refused_before_the_disk_is_full_and_the_reserve_takes_rafts_own() {
    let disk = SimulatedDisk::new(1);
    let mut log = initialised_with(&disk, LIMITS);
    assert!(log.room().unwrap().is_enough());
    disk.set_capacity(Some(4096));
    let room = log.room().unwrap();
    assert!(room.is_enough(), "{room}");

    fill(&mut log, 1, 7, 1);
    let room = log.room().unwrap();
    assert!(!room.is_enough());
    assert_eq!(room.reserve_bytes, 512);
    assert_eq!(
        room.to_string(),
        "512 bytes are free on the disk of the data folder, writes are refused below 1500"
    );
}

#[test]
fn full_disk_uses_the_reserve_then_refuses_and_recovers_when_room_returns() {
    let disk = SimulatedDisk::new(1);
    let mut log = initialised_with(&disk, LIMITS);
    fill(&mut log, 1, 3, 1);
    disk.set_capacity(Some(1024 + 512));
    assert!(!log.room().unwrap().is_enough());

    // The next segment comes from the reserve.
    fill(&mut log, 4, 3 + IN_RESERVE, 1);
    let room = log.room().unwrap();
    assert_eq!((room.free_bytes, room.reserve_bytes), (0, 0));
    assert!(
        room.to_string()
            .contains("of the reserve of 512 bytes 0 are left"),
        "{room}"
    );

    // Nothing is left: refused, unchanged, and no reason to stop.
    let before = everything(&disk);
    let next = [entry(4 + IN_RESERVE, 1)];
    for _ in 0..2 {
        let error = log.append(None, &next, true).unwrap_err();
        assert!(error.is_full() && !error.is_fatal(), "{error}");
        assert!(
            error
                .to_string()
                .contains("1024 bytes are needed and 0 are free"),
            "{error}"
        );
        assert_eq!(everything(&disk), before);
    }

    // What is there can be read, by this process and by the next.
    let (_, found) = open_with(&disk, LIMITS).unwrap();
    assert_eq!(found.entries.len() as u64, 3 + IN_RESERVE);

    disk.set_capacity(Some(10_000));
    let room = log.room().unwrap();
    assert!(room.is_enough(), "{room}");
    assert_eq!(room.reserve_bytes, 512);
    log.append(Some(hard_state(1, 0, 4)), &next, true).unwrap();
    let (_, found) = open_with(&disk.crash(), LIMITS).unwrap();
    assert_eq!(found.entries.len() as u64, 4 + IN_RESERVE);
}

#[test]
fn compaction_works_on_a_full_disk_and_frees_room() {
    let disk = SimulatedDisk::new(1);
    let mut log = initialised_with(&disk, LIMITS);
    fill(&mut log, 1, 8, 1);
    log.append(Some(hard_state(1, 0, 8)), &[], true).unwrap();
    snapshot(&disk, 8, 1);
    disk.set_capacity(Some(0));
    assert_eq!(disk.free_bytes().unwrap(), 0);
    log.compact(9).unwrap();
    disk.set_capacity(Some(10_000));
    disk.sync_folder().unwrap();
    assert!(log.room().unwrap().is_enough());
    fill(&mut log, 9, 20, 1);
    let (_, found) = open_with(&disk.crash(), LIMITS).unwrap();
    assert_eq!((found.start.index, found.last().index), (8, 20));
}

#[test]
fn full_disk_does_not_keep_a_log_from_being_opened() {
    let disk = SimulatedDisk::new(1);
    let mut log = initialised_with(&disk, LIMITS);
    log.append(None, &[entry(1, 1)], false).unwrap();
    drop(log);
    let disk = disk.crash();
    disk.set_capacity(Some(0));
    let (mut log, _) = open_with(&disk, LIMITS).unwrap();
    assert!(!log.room().unwrap().is_enough());
}

#[test]
fn disk_that_is_full_from_the_start_is_told_and_can_be_tried_again() {
    let disk = SimulatedDisk::new(1);
    disk.set_capacity(Some(1000));
    let (mut log, _) = open_with(&disk, LIMITS).unwrap();
    let error = log.initialise(crate::fixture::IDENTITY).unwrap_err();
    assert!(error.is_full(), "{error}");
    disk.set_capacity(Some(1024));
    log.initialise(crate::fixture::IDENTITY).unwrap();
    assert_eq!(log.room().unwrap().reserve_bytes, 0);
    disk.set_capacity(None);
    assert!(log.room().unwrap().is_enough());
    fill(&mut log, 1, 4, 1);
}
