//! Opens a log: reads everything, decides, and only then changes anything on the disk.

use std::sync::Arc;

use super::Journal;
use super::active::Active;
use super::replay::{self, Replayed};
use super::segment::{self, RESERVE, UNFINISHED, UNFINISHED_RESERVE};
use super::state::State;
use super::tail;
use crate::disk::{Disk, DiskFile};
use crate::error::JournalError;
use crate::limits::JournalLimits;
use crate::snapshots::{self, Survey};
use crate::types::{HardState, Position, Recovered, SnapshotMeta};

pub(super) fn open<D: Disk>(
    disk: Arc<D>,
    limits: JournalLimits,
) -> Result<(Journal<D>, Recovered), JournalError> {
    limits.check()?;
    let names = disk
        .list()
        .map_err(|source| JournalError::io("list", "the data folder", source))?;
    let survey = snapshots::survey(&*disk, &names)?;
    let mut sequences: Vec<u64> = names
        .iter()
        .filter_map(|name| segment::sequence(name))
        .collect();
    sequences.sort_unstable();
    if sequences.is_empty() {
        return fresh(disk, limits, &names, &survey);
    }
    let (left_over, run) = last_run(&sequences);
    let replayed = replay::replay(&*disk, run)?;
    if let Some(missing) = replayed.state.shape.missing() {
        return Err(JournalError::MissingSegment {
            file: segment::name(run[0] - 1),
            entries: Some(missing),
        });
    }
    let newest_name = segment::name(replayed.newest.header.sequence);
    let fitting = fit(survey, &replayed.state, &newest_name)?;

    let doomed: Vec<String> = left_over
        .iter()
        .chain(&replayed.unused)
        .map(|sequence| segment::name(*sequence))
        .chain(unfinished(&names))
        .collect();
    clean(&*disk, &doomed, &fitting.set_aside)?;
    settle(disk, limits, replayed, fitting)
}

/// Without any segment: a new log, unless something shows that there was one.
fn fresh<D: Disk>(
    disk: Arc<D>,
    limits: JournalLimits,
    names: &[String],
    survey: &Survey,
) -> Result<(Journal<D>, Recovered), JournalError> {
    if names.iter().any(|name| name == RESERVE) || !survey.is_empty() {
        return Err(JournalError::MissingSegment {
            file: "the log (log-*.wal)".to_owned(),
            entries: None,
        });
    }
    clean(&*disk, &unfinished(names).collect::<Vec<_>>(), &[])?;
    let journal = Journal::new(disk, limits, State::default(), None);
    Ok((journal, Recovered::default()))
}

/// Segments whose numbers follow on each other up to the newest, and those before a gap, which compaction may have left: it
/// removes without a sync, so any of them can come back.
fn last_run(sequences: &[u64]) -> (&[u64], &[u64]) {
    let gap = sequences.windows(2).rposition(|pair| pair[1] - pair[0] > 1);
    sequences.split_at(gap.map_or(0, |gap| gap + 1))
}

/// Files that nobody will finish.
fn unfinished(names: &[String]) -> impl Iterator<Item = String> {
    names
        .iter()
        .filter(|name| {
            [UNFINISHED, UNFINISHED_RESERVE].contains(&name.as_str())
                || snapshots::is_unfinished(name)
        })
        .cloned()
}

/// What snapshots and log say together.
struct Fitting {
    snapshot: Option<SnapshotMeta>,
    set_aside: Vec<String>,
    /// The log ends before the snapshot or contradicts it: it begins anew after it.
    restart: Option<Position>,
}

/// Chooses the snapshot, or refuses what does not fit together.
fn fit(survey: Survey, state: &State, newest_segment: &str) -> Result<Fitting, JournalError> {
    let (start, last) = (state.shape.start(), state.shape.last());
    let commit = state.hard_state.commit;
    let reaches_back = |meta: &SnapshotMeta| start.index <= meta.index;
    let mut set_aside = Vec::new();
    for (name, error) in survey.damaged {
        // The log and an older snapshot hold all that the damaged one did, or the start is refused.
        if !survey.newest.as_ref().is_some_and(reaches_back) {
            return Err(error);
        }
        set_aside.push(name);
    }
    let Some(meta) = survey.newest.as_ref().filter(|meta| reaches_back(meta)) else {
        let found = survey.newest.as_ref().map_or_else(
            || "there is none".to_owned(),
            |meta| format!("the newest is {}", snapshots::name(meta.position())),
        );
        if start.index > 0 {
            return Err(JournalError::MissingSnapshot {
                needed_index: start.index,
                found,
            });
        }
        holds_committed(newest_segment, commit, last.index)?;
        return Ok(Fitting {
            snapshot: None,
            set_aside,
            restart: None,
        });
    };
    holds_committed(newest_segment, commit, last.index.max(meta.index))?;
    let agrees = state.shape.term_at(meta.index) == Some(meta.term);
    if !agrees && meta.index <= commit.max(start.index) {
        let found = format!(
            "it ends with entry {} of term {}, and the log has another committed entry there",
            meta.index, meta.term
        );
        let name = snapshots::name(meta.position());
        return Err(JournalError::corrupt(&name, 0, found));
    }
    Ok(Fitting {
        restart: (!agrees).then(|| meta.position()),
        snapshot: survey.newest,
        set_aside,
    })
}

fn holds_committed(file: &str, commit: u64, last: u64) -> Result<(), JournalError> {
    if commit > last {
        return Err(JournalError::CommittedEntriesMissing {
            file: file.to_owned(),
            commit,
            last,
        });
    }
    Ok(())
}

/// Removes what is left over, and renames damaged snapshots that are not needed.
fn clean<D: Disk>(disk: &D, doomed: &[String], set_aside: &[String]) -> Result<(), JournalError> {
    for name in doomed {
        disk.remove(name)
            .map_err(|source| JournalError::io("remove", name, source))?;
    }
    for name in set_aside {
        disk.rename(name, &snapshots::set_aside(name))
            .map_err(|source| JournalError::io("rename", name, source))?;
    }
    Ok(())
}

/// Makes durable what was read, because an earlier process may have ended between a write and its sync; and begins.
fn settle<D: Disk>(
    disk: Arc<D>,
    limits: JournalLimits,
    replayed: Replayed<D::File>,
    fitting: Fitting,
) -> Result<(Journal<D>, Recovered), JournalError> {
    let Replayed {
        mut state,
        mut entries,
        mut files,
        newest,
        ..
    } = replayed;
    let name = segment::name(newest.header.sequence);
    if let Some(file) = files.last_mut() {
        tail::cut(file, newest.offset, newest.torn_bytes)
            .map_err(|source| JournalError::fatal("zero the torn tail of", &name, source))?;
    }
    for file in &mut files {
        file.sync()
            .map_err(|source| JournalError::fatal("sync segments up to", &name, source))?;
    }
    disk.sync_folder()
        .map_err(|source| JournalError::fatal("sync", "the data folder", source))?;
    if let Some(position) = fitting.restart {
        state.shape.restart(position, position.index);
        entries.clear();
    }
    let recovered = Recovered {
        identity: state.identity,
        hard_state: raised(&state, fitting.snapshot.as_ref()),
        start: state.shape.start(),
        entries,
        snapshot: fitting.snapshot,
        torn_bytes: newest.torn_bytes as u64,
        set_aside: fitting.set_aside,
    };
    let active = files.pop().map(|file| Active::continuing(newest, file));
    let mut journal = Journal::new(disk, limits, state, active);
    if fitting.restart.is_some() {
        journal.restarts = true;
    } else {
        journal.remove_dead()?;
    }
    journal.find_reserve()?;
    Ok((journal, recovered))
}

/// The hard state with what the log's start, its entries and the snapshot prove: what was compacted or is in a snapshot was
/// committed, and a term of which an entry was stored has begun. No vote was given in a term that the hard state had not
/// reached.
fn raised(state: &State, snapshot: Option<&SnapshotMeta>) -> HardState {
    let stored = state.hard_state;
    let snapshot = snapshot.map(SnapshotMeta::position).unwrap_or_default();
    let (start, last) = (state.shape.start(), state.shape.last());
    let term = stored.term.max(last.term).max(snapshot.term);
    HardState {
        term,
        vote: if term == stored.term { stored.vote } else { 0 },
        commit: stored.commit.max(start.index).max(snapshot.index),
    }
}
