//! Measures appends on a real disk: one entry at a time, groups, and a plain file beside them.
//!
//!     cargo run --release -p convoy-journal --example append -- FOLDER [ROUNDS]
//!
//! FOLDER should be empty and lie on the disk to be measured; what is written there is removed again. Each round does 100
//! appends of every kind in turn, so that all of them meet the same load of the machine.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use convoy_journal::{
    Disk, DiskFile, Entry, EntryKind, HardState, Identity, Journal, JournalLimits, RealDisk,
};

const ENTRY_BYTES: usize = 200;
const APPENDS_PER_ROUND: usize = 100;
const GROUP_ENTRIES: u64 = 64;
const DEFAULT_ROUNDS: usize = 20;

/// What an append took, each time.
struct Series {
    name: String,
    entries: u64,
    times: Vec<Duration>,
}

impl Series {
    fn new(name: impl Into<String>, entries: u64) -> Self {
        Self {
            name: name.into(),
            entries,
            times: Vec::new(),
        }
    }

    fn measure(
        &mut self,
        mut append: impl FnMut() -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        for _ in 0..APPENDS_PER_ROUND {
            let begin = Instant::now();
            append()?;
            self.times.push(begin.elapsed());
        }
        Ok(())
    }

    fn report(&mut self) {
        self.times.sort_unstable();
        let at = |share: usize| self.times[(self.times.len() - 1) * share / 1000].as_micros();
        let total: Duration = self.times.iter().sum();
        let entries = self.entries as f64 * self.times.len() as f64;
        println!(
            "{:<28} {:>7} us p50 {:>7} us p99 {:>8} us worst {:>10.0} entries/s",
            self.name,
            at(500),
            at(990),
            at(1000),
            entries / total.as_secs_f64(),
        );
    }
}

/// A log and where it ends.
struct Log {
    journal: Journal<RealDisk>,
    next: u64,
}

impl Log {
    fn append(&mut self, count: u64) -> Result<(), Box<dyn Error>> {
        let entries: Vec<Entry> = (self.next..self.next + count)
            .map(|index| Entry {
                index,
                term: 1,
                kind: EntryKind::Command,
                data: vec![7; ENTRY_BYTES],
            })
            .collect();
        // As Raft does it: what the last round committed is written with the next entries.
        let hard_state = HardState {
            term: 1,
            vote: 1,
            commit: self.next - 1,
        };
        self.journal.append(Some(hard_state), &entries, true)?;
        self.next += count;
        Ok(())
    }
}

fn opened(folder: &Path) -> Result<(Journal<RealDisk>, usize), Box<dyn Error>> {
    let disk = Arc::new(RealDisk::open(folder)?);
    let (journal, recovered) = Journal::open(disk, JournalLimits::default())?;
    Ok((journal, recovered.entries.len()))
}

fn run(folder: &Path, rounds: usize) -> Result<(), Box<dyn Error>> {
    let begin = Instant::now();
    let (mut journal, _) = opened(folder)?;
    journal.initialise(Identity {
        cluster: 1,
        replica: 1,
    })?;
    println!("creating the log took {:?}", begin.elapsed());
    let mut log = Log { journal, next: 1 };

    let beside = RealDisk::open(&folder.join("plain"))?;
    let plain_bytes = 64 << 20;
    let mut plain = beside.create("file", plain_bytes)?;
    let mut offset = 0;

    let mut single = Series::new("log, one entry", 1);
    let mut group = Series::new(format!("log, {GROUP_ENTRIES} entries"), GROUP_ENTRIES);
    let mut file = Series::new("plain file, write and sync", 1);
    for _ in 0..rounds {
        single.measure(|| log.append(1))?;
        group.measure(|| log.append(GROUP_ENTRIES))?;
        file.measure(|| {
            plain.write_at(offset % (plain_bytes - 4096), &[7; ENTRY_BYTES])?;
            offset += ENTRY_BYTES as u64;
            Ok(plain.sync()?)
        })?;
    }
    for series in [&mut single, &mut group, &mut file] {
        series.report();
    }
    let bytes = log.journal.bytes();
    drop(log);
    let begin = Instant::now();
    let (_, entries) = opened(folder)?;
    println!(
        "opening it again ({entries} entries, {} MiB) took {:?}",
        bytes >> 20,
        begin.elapsed()
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let Some(folder) = arguments.next().map(PathBuf::from) else {
        return Err("usage: append FOLDER [ROUNDS]".into());
    };
    let rounds = match arguments.next() {
        Some(rounds) => rounds.parse()?,
        None => DEFAULT_ROUNDS,
    };
    let place = folder.join("convoy-journal-append");
    let outcome = run(&place, rounds);
    std::fs::remove_dir_all(&place)?;
    outcome
}
