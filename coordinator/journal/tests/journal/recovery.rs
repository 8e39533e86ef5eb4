//! What every kind of damage and every interrupted change leads to.
//!
//! The usual log: three segments of 1,024 bytes. Segment 1 has a hard state at 128 and entries 1 to 3 at 176, 416, 656, its
//! seal at 896; segment 2 has entries 4 to 6 at 128, 368, 608, its seal at 848; segment 3 has entries 7 and 8 at 128 and 368
//! and ends at 608. Everything was synced one by one.

mod damaged_log;
mod damaged_snapshot;
mod interrupted;
mod scenes;

use convoy_journal::{Disk, JournalError, Recovered, SimulatedDisk};

use crate::fixture::{entry, everything, hard_state, open};
use scenes::Case;

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
    check(damaged_log::CASES);
}

#[test]
fn interrupted_change_is_finished_or_taken_back() {
    check(interrupted::CASES);
}

#[test]
fn damaged_snapshot_is_replaced_by_an_older_one_and_the_log_or_refused() {
    check(damaged_snapshot::CASES);
}

#[test]
fn what_was_left_over_is_removed() {
    for (cases, more) in [
        (damaged_log::CASES, 2),
        (interrupted::CASES, 0),
        (damaged_snapshot::CASES, 1),
    ] {
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
