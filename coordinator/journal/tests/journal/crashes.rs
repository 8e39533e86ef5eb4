//! Random histories of a replica on a disk that stops at random writes: what was synced is found again, and nothing that was
//! never written.

use std::io::Write;
use std::sync::Arc;

use convoy_journal::{
    Entry, EntryKind, HardState, Journal, JournalError, JournalLimits, Position, SimulatedDisk,
    SnapshotMeta, Snapshots,
};

use crate::fixture::{IDENTITY, Log, Random};
use crate::model::{Model, State};

const SEEDS: u64 = 1_500;
const STEPS: u64 = 60;

/// One replica's life.
struct Life {
    random: Random,
    disk: SimulatedDisk,
    limits: JournalLimits,
    log: Option<Log>,
    model: Model,
    term: u64,
    has_owner: bool,
    crashes: u32,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let limits = JournalLimits {
            segment_bytes: random.between(64, 200) * 8,
            reserve_bytes: if random.one_in(2) { 0 } else { 512 },
            refuse_below_bytes: 0,
        };
        Self {
            disk: SimulatedDisk::new(random.draw()),
            random,
            limits,
            log: None,
            model: Model::new(),
            term: 1,
            has_owner: false,
            crashes: 0,
        }
    }

    /// Stops the machine at some change that is still to come, or never.
    fn arm(&mut self) {
        let changes = self.random.between(0, 60);
        self.disk
            .crash_after((!self.random.one_in(4)).then_some(changes));
    }

    fn crash(&mut self) {
        self.log = None;
        self.disk = self.disk.crash();
        self.crashes += 1;
    }

    /// Opens the log, as often as the machine stops meanwhile.
    fn start(&mut self) -> Result<(), String> {
        loop {
            self.arm();
            match Journal::open(Arc::new(self.disk.clone()), self.limits) {
                Ok((log, found)) => {
                    if self.has_owner && found.identity.is_none() {
                        return Err("the owner is lost".to_owned());
                    }
                    self.model.accept(&found)?;
                    self.log = Some(log);
                    self.term = self.term.max(found.hard_state.term);
                    if found.identity.is_some() {
                        self.has_owner = true;
                        return Ok(());
                    }
                    let outcome = self.on_log(|log| log.initialise(IDENTITY))?;
                    if outcome {
                        self.has_owner = true;
                        return Ok(());
                    }
                }
                Err(error) if !self.disk.has_crashed() => return Err(error.to_string()),
                Err(_) => {}
            }
            self.crash();
        }
    }

    /// Whether it was done; false if the machine stopped.
    fn on_log(
        &mut self,
        act: impl FnOnce(&mut Log) -> Result<(), JournalError>,
    ) -> Result<bool, String> {
        let log = self.log.as_mut().ok_or("no log is open")?;
        match act(log) {
            Ok(()) => Ok(true),
            Err(_) if self.disk.has_crashed() => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    }

    fn append(&mut self) -> Result<bool, String> {
        let now = self.model.now().clone();
        let last = now.last().index;
        let committed = now.hard_state.commit.max(now.start.index);
        let replaces = self.random.one_in(4) && committed < last;
        let first = if replaces {
            self.term += 1;
            self.random.between(committed + 1, last)
        } else {
            last + 1
        };
        let count = self.random.between(0, 5);
        let entries: Vec<Entry> = (first..first + count)
            .map(|index| self.entry(index))
            .collect();
        let end = entries.last().map_or(last, |entry| entry.index);
        let hard_state = (!self.random.one_in(3) || self.term > now.hard_state.term).then(|| {
            let least = now.hard_state.commit.max(now.start.index);
            HardState {
                term: self.term,
                vote: if self.term == now.hard_state.term {
                    now.hard_state.vote
                } else {
                    self.random.between(0, 3)
                },
                commit: self.random.between(least, end),
            }
        });
        let sync = !self.random.one_in(3);
        self.model.wrote(now.appended(hard_state, &entries));
        let done = self.on_log(|log| log.append(hard_state, &entries, sync))?;
        if done && sync {
            self.model.synced();
        }
        Ok(done)
    }

    fn entry(&mut self, index: u64) -> Entry {
        let bytes = match self.random.between(0, 9) {
            0 => 0,
            1 => self.limits.max_entry_bytes(),
            _ => self.random.between(1, 120),
        };
        Entry {
            index,
            term: self.term,
            kind: if self.random.one_in(5) {
                EntryKind::Membership
            } else {
                EntryKind::Command
            },
            data: (0..bytes).map(|_| self.random.draw() as u8).collect(),
        }
    }

    /// Writes a snapshot; whether it is in its place.
    fn snapshot(&mut self, at: Position) -> Result<bool, String> {
        let meta = SnapshotMeta {
            index: at.index,
            term: at.term,
            voters: vec![1, 2, 3],
            ..SnapshotMeta::default()
        };
        let bytes = self.random.between(0, 3000) as usize;
        self.model.snapshots.push(Some(meta.clone()));
        let written = Snapshots::open(Arc::new(self.disk.clone()))
            .and_then(|snapshots| snapshots.writer(meta.clone()))
            .and_then(|mut writer| {
                writer
                    .write_all(&vec![at.index as u8; bytes])
                    .map_err(|source| JournalError::Io {
                        operation: "write",
                        file: "snapshot".to_owned(),
                        source,
                    })?;
                writer.finish()
            });
        match written {
            Ok(()) => {
                self.model.snapshots = vec![Some(meta)];
                Ok(true)
            }
            Err(_) if self.disk.has_crashed() => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Of what is committed, and compacts the log if that was done.
    fn take_snapshot(&mut self) -> Result<bool, String> {
        let now = self.model.now().clone();
        let newest = self.newest_snapshot();
        let committed = now.hard_state.commit.max(now.start.index);
        if committed <= newest {
            return Ok(true);
        }
        let index = self.random.between(newest + 1, committed);
        let Some(term) = now.term_at(index) else {
            return Ok(true);
        };
        // What a snapshot contains was committed, so it was durable.
        let durable = self.on_log(|log| log.append(None, &[], true))?;
        if !durable {
            return Ok(false);
        }
        self.model.synced();
        if !self.snapshot(Position { index, term })? {
            return Ok(false);
        }
        let end = self.random.between(now.start.index, index);
        let Some(term) = now.term_at(end) else {
            return Ok(true);
        };
        let begun = now.restarted(Position { index: end, term });
        let changes = self.disk.changes();
        self.model.wrote(vec![begun]);
        let done = self.on_log(|log| log.compact(end + 1))?;
        if !done {
            return Ok(false);
        }
        if self.disk.changes() == changes {
            // No segment could go, so nothing was written.
            self.model.states.pop();
        }
        self.model.synced();
        self.prune()
    }

    fn prune(&mut self) -> Result<bool, String> {
        let keep = self.random.between(1, 2) as usize;
        let pruned = Snapshots::open(Arc::new(self.disk.clone()))
            .and_then(|snapshots| snapshots.prune(keep));
        match pruned {
            Ok(()) => Ok(true),
            Err(_) if self.disk.has_crashed() => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Takes over a snapshot from elsewhere: of entries that this log lacks or has otherwise.
    fn install(&mut self) -> Result<bool, String> {
        let now = self.model.now().clone();
        let committed = now.hard_state.commit.max(now.start.index);
        let least = committed.max(self.newest_snapshot()) + 1;
        self.term += 1;
        let most = least.max(now.last().index) + 3;
        let end = Position {
            index: self.random.between(least, most),
            term: self.term,
        };
        if !self.snapshot(end)? {
            return Ok(false);
        }
        if self.random.one_in(3) {
            // The process ends before it tells the log.
            self.log = None;
            return Ok(false);
        }
        self.model.wrote(vec![now.restarted(end)]);
        let done = self.on_log(|log| log.restart_after(end))?;
        if done {
            self.model.synced();
        }
        Ok(done)
    }

    fn newest_snapshot(&self) -> u64 {
        let newest = self.model.snapshots.last();
        newest.and_then(Option::as_ref).map_or(0, |meta| meta.index)
    }

    fn step(&mut self) -> Result<(), String> {
        let goes_on = match self.random.between(0, 19) {
            0..=12 => self.append()?,
            13..=15 => self.take_snapshot()?,
            16 => self.install()?,
            17 => {
                // The process is killed, the machine goes on.
                self.log = None;
                return self.start();
            }
            18 => false,
            _ => {
                self.disk.crash_after(Some(0));
                self.append()?
            }
        };
        if !goes_on {
            self.crash();
            return self.start();
        }
        Ok(())
    }
}

fn live(seed: u64) -> Result<u32, String> {
    let mut life = Life::new(seed);
    life.start()?;
    for _ in 0..STEPS {
        life.step()?;
    }
    Ok(life.crashes)
}

fn run(seeds: std::ops::Range<u64>) {
    let mut crashes = 0;
    for seed in seeds.clone() {
        match live(seed) {
            Ok(count) => crashes += count,
            Err(reason) => panic!("seed {seed}: {reason}"),
        }
    }
    let lives = seeds.end - seeds.start;
    assert!(
        u64::from(crashes) > lives,
        "{crashes} crashes in {lives} lives"
    );
}

#[test]
fn what_was_synced_survives_every_history_and_nothing_else_appears() {
    run(0..SEEDS);
}

#[test]
#[ignore = "some minutes: the same with many more seeds"]
fn long_what_was_synced_survives_very_many_histories() {
    run(SEEDS..SEEDS + 150_000);
}

#[test]
fn model_finds_a_lost_entry() {
    let mut model = Model::new();
    let disk = SimulatedDisk::new(1);
    let mut log = crate::fixture::initialised(&disk);
    let entries = [crate::fixture::entry(1, 1), crate::fixture::entry(2, 1)];
    log.append(None, &entries, true).unwrap();
    let mut lost: State = model.now().clone();
    lost.entries = entries.to_vec();
    lost.entries.push(crate::fixture::entry(3, 1));
    model.wrote(vec![lost]);
    model.synced();
    let (_, found) = crate::fixture::open(&disk).unwrap();
    assert!(model.accept(&found).is_err());
}
