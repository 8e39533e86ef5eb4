//! The write-ahead log: segments of records, of which the newest is written to.
//!
//! Segments are only ever appended to. What an entry replaces is still there and is left out when the log is read; so a write
//! that is torn can't harm what was there before it.

mod active;
mod record;
mod recovery;
mod replay;
mod reserve;
mod segment;
mod shape;
mod state;
mod tail;
mod write;

use std::io;
use std::sync::Arc;

use crate::disk::Disk;
use crate::error::JournalError;
use crate::limits::{JournalLimits, Room};
use crate::snapshots;
use crate::types::{Entry, HardState, Identity, Position, Recovered};
use active::Active;
use record::Record;
use state::State;

pub(crate) use segment::room_for_entry;

/// The write-ahead log of one replica. It keeps no entries in memory.
///
/// Errors: [`JournalError::is_full`] leaves the log as it was, and the call can be repeated (of a group that is longer than a
/// segment the first entries may have been written, which repeating it puts right). [`JournalError::Misuse`] and
/// [`JournalError::AlreadyInitialised`] wrote nothing. Every other error of a method that writes is fatal, and every further
/// call fails: the process must abort.
pub struct Journal<D: Disk> {
    disk: Arc<D>,
    limits: JournalLimits,
    state: State,
    active: Option<Active<D::File>>,
    /// A snapshot took the place of the log, which the segments don't say yet: the next write begins a segment that does.
    restarts: bool,
    reserve_bytes: u64,
    is_next_prepared: bool,
    poison: Option<String>,
    /// Used again by every write.
    buffer: Vec<u8>,
}

impl<D: Disk> Journal<D> {
    /// Opens the log of the folder and reads it all; verifies the newest snapshot; removes what a crash left unfinished. A
    /// torn tail is cut. Everything that is returned is durable.
    ///
    /// # Errors
    /// If anything that was durable is damaged or missing, with its file, offset and entries; nothing was changed then. Or if
    /// the disk fails.
    pub fn open(disk: Arc<D>, limits: JournalLimits) -> Result<(Self, Recovered), JournalError> {
        recovery::open(disk, limits)
    }

    fn new(
        disk: Arc<D>,
        limits: JournalLimits,
        state: State,
        active: Option<Active<D::File>>,
    ) -> Self {
        Self {
            disk,
            limits,
            state,
            active,
            restarts: false,
            reserve_bytes: 0,
            is_next_prepared: false,
            poison: None,
            buffer: Vec::new(),
        }
    }

    /// Creates the log and writes down whose it is, durably; and the reserve. Everything else comes after it, snapshots as
    /// well: those without a log are taken for the remains of a lost one.
    ///
    /// # Errors
    /// [`JournalError::AlreadyInitialised`]; or if the disk is full or fails.
    pub fn initialise(&mut self, identity: Identity) -> Result<(), JournalError> {
        self.check_usable()?;
        if let (Some(found), Some(active)) = (self.state.identity, &self.active) {
            return Err(JournalError::AlreadyInitialised {
                file: active.name.clone(),
                found,
                wanted: identity,
            });
        }
        let created = self.create_segment(1, 0, identity)?;
        self.state.identity = Some(identity);
        self.begin(created);
        self.measure_room()
            .map(|_| ())
            .map_err(|source| self.failed("create", segment::RESERVE, 0, source))
    }

    /// Appends a group with one write, and syncs at most once; a segment that is full costs a few syncs more. An entry with an
    /// index that exists cuts everything from there. With `sync` the group is durable when this returns, and so is everything
    /// before it; without it a crash may lose it from any record on. With nothing to append it only syncs.
    ///
    /// After a crash the log ends with some prefix of what was not synced, in the order hard state, then entries; `commit` is
    /// never recovered without the entries that it counts.
    ///
    /// # Errors
    /// See [`Journal`]. Misuse is: entries with gaps, with falling terms, with too much data or in the place of committed
    /// ones; a term or commit that falls, a second vote in one term, a commit beyond the last entry.
    pub fn append(
        &mut self,
        hard_state: Option<HardState>,
        entries: &[Entry],
        sync: bool,
    ) -> Result<(), JournalError> {
        self.check_usable()?;
        self.check_entries(entries)?;
        let before = match entries.first() {
            Some(first) => first.index - 1,
            None => self.state.shape.last().index,
        };
        let end = entries.last().map_or(before, |last| last.index);
        let mut records = Vec::with_capacity(entries.len() + 2);
        if let Some(wanted) = hard_state {
            self.check_hard_state(wanted, end)?;
            let early = HardState {
                commit: wanted.commit.min(before),
                ..wanted
            };
            if early != self.state.hard_state {
                records.push(Record::HardState(early));
            }
        }
        records.extend(entries.iter().map(|entry| Record::Entry {
            at: position(entry),
            kind: entry.kind,
            data: &entry.data,
        }));
        if let Some(late) = hard_state.filter(|wanted| wanted.commit > before) {
            records.push(Record::HardState(late));
        }
        self.write(&records, sync)
    }

    /// An installed snapshot takes the place of the log up to `end`, which is its last entry; call it after
    /// [`SnapshotWriter::finish`](crate::SnapshotWriter::finish) and before a hard state that counts its entries. Entries
    /// after `end` stay if they follow from it (the log has the same term there) and go otherwise. Durable when it returns.
    ///
    /// # Errors
    /// See [`Journal`]. Misuse is: no such snapshot; `end` below what is committed or compacted.
    pub fn restart_after(&mut self, end: Position) -> Result<(), JournalError> {
        self.check_usable()?;
        let (start, last) = (self.state.shape.start(), self.state.shape.last());
        if end == start {
            return Ok(());
        }
        let least = self.state.hard_state.commit.max(start.index);
        let known = self.state.shape.term_at(end.index);
        if end.index < least || (end.index == least && least > 0 && known != Some(end.term)) {
            let reason = format!(
                "it cannot begin after entry {} of term {}, entries to {least} are committed",
                end.index, end.term
            );
            return Err(JournalError::misuse("the log", reason));
        }
        self.check_snapshot("begin after", |found| found == end)?;
        let keeps = known == Some(end.term);
        let record = Record::Start {
            start: end,
            last: if keeps { last.index } else { end.index },
        };
        self.write(&[record], true)?;
        self.remove_dead()
    }

    /// The log begins with `keep_from` from now on; segments with nothing else are removed. A snapshot must reach to
    /// `keep_from - 1`. Nothing happens where no segment could be removed: the newest always stays, so what
    /// [`bytes`](Self::bytes) counts can't be less than what it holds. Works on a full disk as well.
    ///
    /// # Errors
    /// See [`Journal`]. Misuse is: no such snapshot; `keep_from` more than one beyond the last entry.
    pub fn compact(&mut self, keep_from: u64) -> Result<(), JournalError> {
        self.check_usable()?;
        let shape = &self.state.shape;
        let end = keep_from.saturating_sub(1);
        if end <= shape.start().index || self.state.segments.dead_below(end).is_none() {
            return Ok(());
        }
        let Some(term) = shape.term_at(end) else {
            let last = shape.last().index;
            let reason =
                format!("it cannot be compacted to begin with {keep_from}, it ends with {last}");
            return Err(JournalError::misuse("the log", reason));
        };
        let last = shape.last().index;
        self.check_snapshot("be compacted up to", |found| found.index >= end)?;
        let start = Position { index: end, term };
        self.write(&[Record::Start { start, last }], true)?;
        self.remove_dead()
    }

    /// Bytes written into live segments: what compaction may free, but for the newest segment.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.state.segments.used_bytes()
    }

    /// How much room there is; makes the reserve anew when there is enough again, which takes as long as writing it.
    ///
    /// # Errors
    /// If the file system doesn't say, or fails.
    pub fn room(&mut self) -> io::Result<Room> {
        self.check_usable().map_err(io::Error::other)?;
        self.measure_room()
    }

    /// Removes segments that hold nothing that is still needed. Their names need no sync: one that comes back after a crash
    /// is removed again.
    fn remove_dead(&mut self) -> Result<(), JournalError> {
        let start = self.state.shape.start().index;
        while let Some(segment) = self.state.segments.dead_below(start) {
            let name = segment::name(segment.sequence);
            self.disk
                .remove(&name)
                .map_err(|source| self.failed("remove", &name, 0, source))?;
            self.state.segments.forget_oldest();
        }
        Ok(())
    }

    fn check_usable(&self) -> Result<(), JournalError> {
        self.poison.as_ref().map_or(Ok(()), |cause| {
            Err(JournalError::Poisoned {
                cause: cause.clone(),
            })
        })
    }

    fn check_snapshot(
        &self,
        purpose: &str,
        is_wanted: impl Fn(Position) -> bool,
    ) -> Result<(), JournalError> {
        let found = snapshots::positions(&*self.disk)?;
        if found.into_iter().any(is_wanted) {
            return Ok(());
        }
        let reason = format!("it cannot {purpose} an entry that no snapshot contains");
        Err(JournalError::misuse("the log", reason))
    }

    fn check_entries(&self, entries: &[Entry]) -> Result<(), JournalError> {
        let refused = |reason: String| Err(JournalError::misuse("the log", reason));
        let Some(first) = entries.first() else {
            return Ok(());
        };
        if let Some(reason) = self.state.shape.refusal(position(first)) {
            return refused(reason);
        }
        let committed = self.state.hard_state.commit;
        if first.index <= committed {
            let index = first.index;
            return refused(format!(
                "entry {index} is committed ({committed} are) and stays"
            ));
        }
        for pair in entries.windows(2) {
            if pair[1].index != pair[0].index + 1 || pair[1].term < pair[0].term {
                let (one, other) = (position(&pair[0]), position(&pair[1]));
                return refused(format!("{other:?} cannot follow on {one:?}"));
            }
        }
        let most = self.limits.max_entry_bytes();
        let has_too_much = |entry: &&Entry| entry.data.len() as u64 > most;
        if let Some(entry) = entries.iter().find(has_too_much) {
            let (index, bytes) = (entry.index, entry.data.len());
            return refused(format!(
                "entry {index} has {bytes} bytes, {most} are allowed"
            ));
        }
        Ok(())
    }

    /// `end` is the log's last index once the group is written.
    fn check_hard_state(&self, wanted: HardState, end: u64) -> Result<(), JournalError> {
        let stored = self.state.hard_state;
        let votes_twice =
            wanted.term == stored.term && stored.vote != 0 && wanted.vote != stored.vote;
        let falls = wanted.term < stored.term || wanted.commit < stored.commit;
        if votes_twice || falls || wanted.commit > end {
            let reason =
                format!("{wanted:?} cannot follow {stored:?} in a log that ends with {end}");
            return Err(JournalError::misuse("the log", reason));
        }
        Ok(())
    }
}

fn position(entry: &Entry) -> Position {
    Position {
        index: entry.index,
        term: entry.term,
    }
}
