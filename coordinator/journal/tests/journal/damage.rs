//! Every single flipped bit, and every other length of a file: damage is refused, or it is one that an interrupted write could
//! have left; it never changes what is read.

use convoy_journal::{Disk, JournalError, JournalLimits, Recovered, SimulatedDisk};

use crate::fixture::{
    entry_of, hard_state, initialised_with, meta, open_with, segment, snapshot, snapshot_file,
};

const LIMITS: JournalLimits = JournalLimits {
    segment_bytes: 512,
    reserve_bytes: 0,
    refuse_below_bytes: 0,
};

/// Three segments with all kinds of records, compacted to begin with entry 2, and a snapshot.
fn scene() -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    let mut log = initialised_with(&disk, LIMITS);
    for index in 1..=9 {
        let state = Some(hard_state(1, 1, index - 1));
        log.append(state, &[entry_of(index, 1, 50)], true).unwrap();
    }
    snapshot(&disk, 4, 1);
    log.compact(4).unwrap();
    log.append(Some(hard_state(2, 3, 8)), &[entry_of(9, 2, 30)], true)
        .unwrap();
    disk
}

fn read(disk: &SimulatedDisk) -> Result<Recovered, JournalError> {
    open_with(disk, LIMITS).map(|(_, found)| found)
}

/// A copy of the disk, so that opening one doesn't heal the other.
fn copy(disk: &SimulatedDisk) -> SimulatedDisk {
    let copy = SimulatedDisk::new(1);
    for name in disk.list().unwrap() {
        copy.put(&name, &disk.contents(&name).unwrap());
    }
    copy
}

#[test]
fn every_flipped_bit_is_refused_or_reads_as_a_torn_end() {
    let disk = scene();
    let whole = read(&copy(&disk)).unwrap();
    assert_eq!(whole.snapshot, Some(meta(4, 1)));
    let (mut refused, mut cut, mut harmless) = (0, 0, 0);
    for name in disk.list().unwrap() {
        let bits = disk.contents(&name).unwrap().len() as u64 * 8;
        for bit in 0..bits {
            let damaged = copy(&disk);
            damaged.flip_bit(&name, bit);
            match read(&damaged) {
                Err(_) => refused += 1,
                Ok(found) if found.entries == whole.entries => {
                    harmless += 1;
                    assert_eq!(found.hard_state, whole.hard_state, "{name}, bit {bit}");
                }
                Ok(found) => {
                    // Only the last records of the last segment can be taken for torn.
                    cut += 1;
                    assert!(found.torn_bytes > 0, "{name}, bit {bit}");
                    assert_eq!(found.entries[..5], whole.entries[..5], "{name}, bit {bit}");
                    assert!(name > segment(3), "{name}, bit {bit}");
                }
            }
        }
    }
    assert!(
        refused > 8_000 && cut > 100 && harmless > 500,
        "{refused} {cut} {harmless}"
    );
}

#[test]
fn every_other_length_of_a_file_is_refused() {
    let disk = scene();
    for name in disk.list().unwrap() {
        let whole = disk.contents(&name).unwrap();
        for length in (0..whole.len() + 16).filter(|length| *length != whole.len()) {
            let damaged = copy(&disk);
            let mut bytes = whole.clone();
            bytes.resize(length, 0);
            damaged.put(&name, &bytes);
            assert!(read(&damaged).is_err(), "{name} with {length} bytes");
        }
    }
}

#[test]
fn every_missing_file_is_refused() {
    let disk = scene();
    let names = disk.list().unwrap();
    assert!(
        names.len() > 3 && names.contains(&snapshot_file(4, 1)),
        "{names:?}"
    );
    for name in names {
        let damaged = copy(&disk);
        damaged.remove(&name).unwrap();
        let error = read(&damaged).unwrap_err().to_string();
        assert!(
            error.contains("missing") || error.contains("no snapshot"),
            "{name}: {error}"
        );
    }
}
