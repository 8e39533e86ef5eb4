//! What is stored: Raft's log and state in our own words.

/// Who this log belongs to. Written once by [`Journal::initialise`](crate::Journal::initialise), found again at every open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster's random number.
    pub cluster: u64,
    /// This replica's number in it.
    pub replica: u64,
}

/// What a replica promised and what it knows to be committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// The newest term this replica has heard of.
    pub term: u64,
    /// Whom it voted for in `term`; 0 for nobody.
    pub vote: u64,
    /// Index of the last entry known to be committed; never beyond the log's last entry.
    pub commit: u64,
}

/// What an entry is to Raft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// For the state machine (raft-rs: `EntryNormal`).
    Command,
    /// A change of voters or learners (raft-rs: `EntryConfChangeV2`).
    Membership,
}

/// One entry of the replicated log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Position in the log, from 1, without gaps.
    pub index: u64,
    /// Term of the leader that made it; never smaller than its predecessor's.
    pub term: u64,
    /// What it is to Raft.
    pub kind: EntryKind,
    /// Opaque here; empty is fine. At most [`JournalLimits::max_entry_bytes`](crate::JournalLimits::max_entry_bytes).
    pub data: Vec<u8>,
}

/// A position in the log with the term of the entry there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Index of the entry; 0 before the first.
    pub index: u64,
    /// Its term; 0 before the first.
    pub term: u64,
}

/// What a snapshot stands for: the state after `index`, and who belonged to the group then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotMeta {
    /// The last entry it contains.
    pub index: u64,
    /// Term of that entry.
    pub term: u64,
    /// Ids of voters.
    pub voters: Vec<u64>,
    /// Ids of learners.
    pub learners: Vec<u64>,
    /// In a joint configuration, voters of the outgoing one.
    pub voters_outgoing: Vec<u64>,
    /// In a joint configuration, who becomes a learner when it ends.
    pub learners_next: Vec<u64>,
    /// Whether the joint configuration ends by itself.
    pub auto_leave: bool,
}

impl SnapshotMeta {
    /// Its last entry.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            index: self.index,
            term: self.term,
        }
    }
}

/// What [`Journal::open`](crate::Journal::open) found. It fits together: `entries` follow `start` without a gap, `snapshot`
/// reaches at least to `start`, and `hard_state.commit` lies between `start` and the last entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// None: nothing was ever written here, and [`Journal::initialise`](crate::Journal::initialise) comes next.
    pub identity: Option<Identity>,
    /// The newest hard state, raised to what the snapshot proves.
    pub hard_state: HardState,
    /// The entry before the first of `entries`: compacted, or contained in the snapshot.
    pub start: Position,
    /// Contiguous, after conflicts are resolved. May begin before the snapshot's end.
    pub entries: Vec<Entry>,
    /// The newest snapshot; its whole file was verified.
    pub snapshot: Option<SnapshotMeta>,
    /// Bytes of a torn tail that were cut: written, but never synced, when the machine stopped.
    pub torn_bytes: u64,
    /// Corrupt snapshot files that were renamed to `*.corrupt`, because an older one and the log together replace them.
    pub set_aside: Vec<String>,
}

impl Recovered {
    /// The last entry, or the end of the snapshot where no entry follows it.
    #[must_use]
    pub fn last(&self) -> Position {
        self.entries.last().map_or(self.start, |entry| Position {
            index: entry.index,
            term: entry.term,
        })
    }
}
