//! Small logs on simulated disks.

use std::io::Write;
use std::sync::Arc;

use convoy_journal::{
    Disk, Entry, EntryKind, HardState, Identity, Journal, JournalError, JournalLimits, Position,
    Recovered, SimulatedDisk, SnapshotMeta, Snapshots,
};

pub(crate) type Log = Journal<SimulatedDisk>;

pub(crate) const IDENTITY: Identity = Identity {
    cluster: 77,
    replica: 1,
};

/// Three entries of 200 bytes fill a segment.
pub(crate) const LIMITS: JournalLimits = JournalLimits {
    segment_bytes: 1024,
    reserve_bytes: 0,
    refuse_below_bytes: 0,
};

pub(crate) fn open_with(
    disk: &SimulatedDisk,
    limits: JournalLimits,
) -> Result<(Log, Recovered), JournalError> {
    Journal::open(Arc::new(disk.clone()), limits)
}

pub(crate) fn open(disk: &SimulatedDisk) -> Result<(Log, Recovered), JournalError> {
    open_with(disk, LIMITS)
}

/// An empty log that has an owner.
pub(crate) fn initialised_with(disk: &SimulatedDisk, limits: JournalLimits) -> Log {
    let (mut log, _) = open_with(disk, limits).unwrap();
    log.initialise(IDENTITY).unwrap();
    log
}

pub(crate) fn initialised(disk: &SimulatedDisk) -> Log {
    initialised_with(disk, LIMITS)
}

/// An entry of 200 bytes.
pub(crate) fn entry(index: u64, term: u64) -> Entry {
    entry_of(index, term, 200)
}

pub(crate) fn entry_of(index: u64, term: u64, bytes: usize) -> Entry {
    let kind = if index.is_multiple_of(3) {
        EntryKind::Membership
    } else {
        EntryKind::Command
    };
    Entry {
        index,
        term,
        kind,
        data: vec![(index * 16 + term) as u8; bytes],
    }
}

pub(crate) fn hard_state(term: u64, vote: u64, commit: u64) -> HardState {
    HardState { term, vote, commit }
}

/// Appends the entries from `first` to `last`, each by itself and durably.
pub(crate) fn fill(log: &mut Log, first: u64, last: u64, term: u64) {
    for index in first..=last {
        log.append(None, &[entry(index, term)], true).unwrap();
    }
}

pub(crate) fn at(index: u64, term: u64) -> Position {
    Position { index, term }
}

pub(crate) fn meta(index: u64, term: u64) -> SnapshotMeta {
    SnapshotMeta {
        index,
        term,
        voters: vec![1, 2, 3],
        ..SnapshotMeta::default()
    }
}

pub(crate) fn snapshot(disk: &SimulatedDisk, index: u64, term: u64) {
    let snapshots = Snapshots::open(Arc::new(disk.clone())).unwrap();
    let mut writer = snapshots.writer(meta(index, term)).unwrap();
    writer.write_all(b"the state of the machine").unwrap();
    writer.finish().unwrap();
}

pub(crate) fn segment(sequence: u64) -> String {
    format!("log-{sequence:020}.wal")
}

pub(crate) fn snapshot_file(index: u64, term: u64) -> String {
    format!("snapshot-{index:020}-{term:020}.bin")
}

/// Names and contents of all files.
pub(crate) fn everything(disk: &SimulatedDisk) -> Vec<(String, Vec<u8>)> {
    let names = disk.list().unwrap();
    names
        .into_iter()
        .map(|name| {
            let bytes = disk.contents(&name).unwrap();
            (name, bytes)
        })
        .collect()
}

/// Random numbers of the tests (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from `least` to `most`.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.draw() % (most - least + 1)
    }

    pub(crate) fn one_in(&mut self, many: u64) -> bool {
        self.draw().is_multiple_of(many)
    }
}
