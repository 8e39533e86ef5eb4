//! Logs in all kinds of trouble.

use convoy_journal::{Disk, Identity, SimulatedDisk};

use crate::fixture::{entry, fill, hard_state, initialised, open, segment, snapshot};

/// A situation, and what opening the log says of it, up to what it advises.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) disk: fn() -> SimulatedDisk,
    pub(super) expected: &'static str,
}

pub(super) const fn case(
    name: &'static str,
    disk: fn() -> SimulatedDisk,
    expected: &'static str,
) -> Case {
    Case {
        name,
        disk,
        expected,
    }
}

pub(super) fn usual() -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    let mut log = initialised(&disk);
    log.append(Some(hard_state(1, 2, 0)), &[entry(1, 1)], true)
        .unwrap();
    fill(&mut log, 2, 8, 1);
    disk
}

/// One segment: a hard state at 128 and entry 1 at 176, synced; entries 2 and 3 at 416 and 656, in a write each, not synced.
pub(super) fn unsynced() -> SimulatedDisk {
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
pub(super) fn with_snapshots() -> SimulatedDisk {
    let disk = usual();
    let (mut log, _) = open(&disk).unwrap();
    log.append(Some(hard_state(1, 2, 6)), &[], true).unwrap();
    snapshot(&disk, 3, 1);
    snapshot(&disk, 6, 1);
    disk
}

/// The same, compacted to begin with entry 7.
pub(super) fn compacted() -> SimulatedDisk {
    let disk = with_snapshots();
    let (mut log, _) = open(&disk).unwrap();
    log.compact(7).unwrap();
    disk
}

pub(super) fn flip(disk: SimulatedDisk, name: &str, byte: u64) -> SimulatedDisk {
    disk.flip_bit(name, byte * 8);
    disk
}

pub(super) fn edit(
    disk: SimulatedDisk,
    name: &str,
    change: impl Fn(&mut Vec<u8>),
) -> SimulatedDisk {
    let mut bytes = disk.contents(name).unwrap();
    change(&mut bytes);
    disk.put(name, &bytes);
    disk
}

pub(super) fn zero(disk: SimulatedDisk, name: &str, from: usize, to: usize) -> SimulatedDisk {
    edit(disk, name, |bytes| bytes[from..to].fill(0))
}

pub(super) fn cut(disk: SimulatedDisk, name: &str, length: usize) -> SimulatedDisk {
    edit(disk, name, |bytes| bytes.resize(length, 0))
}

pub(super) fn without(disk: SimulatedDisk, names: &[String]) -> SimulatedDisk {
    names.iter().for_each(|name| disk.remove(name).unwrap());
    disk.sync_folder().unwrap();
    disk
}

/// Copies one file of `from`.
pub(super) fn with_file_of(disk: SimulatedDisk, from: &SimulatedDisk, name: &str) -> SimulatedDisk {
    disk.put(name, &from.contents(name).unwrap());
    disk
}

/// The usual log when its third segment had just been put in its place: the second is not sealed yet.
pub(super) fn rolling() -> SimulatedDisk {
    let disk = usual();
    let disk = zero(disk, &segment(2), 848, 1024);
    zero(disk, &segment(3), 128, 1024)
}

pub(super) fn of_another_replica() -> SimulatedDisk {
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
