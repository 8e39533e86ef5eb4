//! The log as raft-rs reads it: in memory, the same as in the journal.

use std::cell::Cell;
use std::collections::VecDeque;

use convoy_journal::{Position, SnapshotMeta};
use raft::eraftpb::{ConfState, Entry, HardState, Snapshot, SnapshotMetadata};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};

use crate::membership::{Members, conf_state};

/// What an entry counts besides its data, bytes.
const ENTRY_BYTES: u64 = 32;

/// Entries after `start`, and what the newest snapshot is called.
pub(crate) struct LogStore {
    initial: RaftState,
    /// The entry before the first; its term is known.
    start: Position,
    entries: VecDeque<Entry>,
    snapshot: Option<SnapshotMeta>,
    /// Set when a follower needs a snapshot that there is not.
    is_wanted: Cell<bool>,
}

impl LogStore {
    pub(crate) fn new(
        hard_state: HardState,
        start: Position,
        entries: Vec<Entry>,
        snapshot: Option<SnapshotMeta>,
    ) -> Self {
        let members = snapshot
            .as_ref()
            .map_or_else(ConfState::default, conf_state);
        Self {
            initial: RaftState::new(hard_state, members),
            start,
            entries: entries.into(),
            snapshot,
            is_wanted: Cell::new(false),
        }
    }

    pub(crate) fn start(&self) -> Position {
        self.start
    }

    pub(crate) fn last_index(&self) -> u64 {
        self.start.index + self.entries.len() as u64
    }

    pub(crate) fn snapshot_meta(&self) -> Option<&SnapshotMeta> {
        self.snapshot.as_ref()
    }

    /// The term of an entry that is held, or of the one before the first.
    pub(crate) fn term_of(&self, index: u64) -> Option<u64> {
        if index == self.start.index {
            return Some(self.start.term);
        }
        self.entry(index).map(|entry| entry.term)
    }

    fn entry(&self, index: u64) -> Option<&Entry> {
        let offset = index.checked_sub(self.start.index + 1)?;
        self.entries.get(usize::try_from(offset).ok()?)
    }

    /// Entries as the journal got them: one with an index that exists cuts everything from there.
    pub(crate) fn append(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else {
            return;
        };
        let kept = first.index.saturating_sub(self.start.index + 1);
        self.entries
            .truncate(usize::try_from(kept).unwrap_or(usize::MAX));
        assert_eq!(self.last_index() + 1, first.index, "entries leave no gap");
        self.entries.extend(entries.iter().cloned());
    }

    /// A snapshot takes the place of everything.
    pub(crate) fn restart_after(&mut self, meta: SnapshotMeta) {
        self.start = meta.position();
        self.entries.clear();
        self.snapshot = Some(meta);
    }

    /// A snapshot of our own is in place, and the log begins with `keep_from`.
    pub(crate) fn compact(&mut self, meta: SnapshotMeta, keep_from: u64) {
        self.snapshot = Some(meta);
        self.is_wanted.set(false);
        while self.start.index + 1 < keep_from {
            let Some(dropped) = self.entries.pop_front() else {
                break;
            };
            self.start = Position {
                index: dropped.index,
                term: dropped.term,
            };
        }
    }

    /// Bytes of entries after `index`.
    pub(crate) fn bytes_after(&self, index: u64) -> u64 {
        let skipped = index.saturating_sub(self.start.index);
        let entries = self.entries.iter();
        entries
            .skip(usize::try_from(skipped).unwrap_or(usize::MAX))
            .map(entry_bytes)
            .sum()
    }

    /// Whether a follower needs a snapshot that there is not.
    pub(crate) fn is_snapshot_wanted(&self) -> bool {
        self.is_wanted.get()
    }
}

pub(crate) fn entry_bytes(entry: &Entry) -> u64 {
    entry.data.len() as u64 + ENTRY_BYTES
}

impl Storage for LogStore {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(self.initial.clone())
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low <= self.start.index {
            return Err(StorageError::Compacted.into());
        }
        assert!(
            high <= self.last_index() + 1,
            "raft-rs asks for entries that exist"
        );
        let most = max_size.into().unwrap_or(u64::MAX);
        let mut bytes = 0;
        let mut taken = Vec::new();
        for index in low..high {
            let Some(entry) = self.entry(index) else {
                return Err(StorageError::Unavailable.into());
            };
            bytes += entry_bytes(entry);
            // At least one, or replication would stop at an entry that is larger than a message should be.
            if bytes > most && !taken.is_empty() {
                break;
            }
            taken.push(entry.clone());
        }
        Ok(taken)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index < self.start.index {
            return Err(StorageError::Compacted.into());
        }
        self.term_of(index)
            .ok_or_else(|| StorageError::Unavailable.into())
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.start.index + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last_index())
    }

    fn snapshot(&self, request_index: u64, to: u64) -> raft::Result<Snapshot> {
        let usable = self.snapshot.as_ref().filter(|meta| {
            // A replica ignores a snapshot that does not name it, and its leader would send it for ever.
            meta.index >= request_index.max(self.start.index) && names(meta, to)
        });
        let Some(meta) = usable else {
            self.is_wanted.set(true);
            return Err(StorageError::SnapshotTemporarilyUnavailable.into());
        };
        Ok(snapshot(meta))
    }
}

fn names(meta: &SnapshotMeta, replica: u64) -> bool {
    Members::from_conf_state(&conf_state(meta)).contains(crate::config::ReplicaId(replica))
}

/// A snapshot without data, as raft-rs passes it around: the file travels by itself.
pub(crate) fn snapshot(meta: &SnapshotMeta) -> Snapshot {
    let mut metadata = SnapshotMetadata {
        index: meta.index,
        term: meta.term,
        ..SnapshotMetadata::default()
    };
    metadata.set_conf_state(conf_state(meta));
    let mut snapshot = Snapshot::default();
    snapshot.set_metadata(metadata);
    snapshot
}
