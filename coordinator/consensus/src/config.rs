//! What a replica is told when it starts.

use std::fmt;
use std::time::Duration;

use convoy_journal::JournalLimits;

use crate::error::ReplicaError;

/// Names a replica of the coordinator. Never 0, and never used again once its disk is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(pub u64);

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "replica {}", self.0)
    }
}

/// What a replica is told when it starts.
#[derive(Clone, Copy, Debug)]
pub struct ReplicaConfig {
    /// Which one it is.
    pub id: ReplicaId,
    /// The cluster's random number: messages and folders of another are refused.
    pub cluster: u64,
    /// Time between two ticks. Used in texts only: ticks come from outside.
    pub tick: Duration,
    /// Ticks without a leader after which an election is started; the actual number is drawn between this and its
    /// double each time, so that two replicas seldom start one together.
    pub election_ticks: u32,
    /// Ticks between two heartbeats of a leader.
    pub heartbeat_ticks: u32,
    /// A random number, another one for each start of the process. Election timeouts, the name of this life and,
    /// at creation, of the folder are drawn from it.
    pub seed: u64,
    /// Sizes and counts.
    pub limits: ReplicaLimits,
}

/// Sizes and counts that bound a replica's memory, disk and messages.
#[derive(Clone, Copy, Debug)]
pub struct ReplicaLimits {
    /// Commands are batched into an entry up to this many bytes; a larger one is rejected. Also bounds how long an
    /// entry keeps the ones behind it waiting.
    pub max_entry_bytes: u64,
    /// Entries are batched into a message up to this many bytes; with one entry of the size above it stays below
    /// gRPC's 4 MiB.
    pub max_message_bytes: u64,
    /// Messages with entries on their way to one follower.
    pub max_inflight_messages: usize,
    /// Commands in entries that are not committed yet; more wait here, in the order of their arrival.
    pub max_uncommitted_bytes: u64,
    /// Commands that wait; more are rejected as `Busy`.
    pub max_waiting_bytes: u64,
    /// A snapshot is due when commands of so many bytes followed the last one. Memory and disk hold about twice as
    /// much, since the log reaches back to the snapshot before the newest.
    pub compact_after_bytes: u64,
    /// Files of the log.
    pub journal: JournalLimits,
}

impl Default for ReplicaLimits {
    fn default() -> Self {
        Self {
            max_entry_bytes: 1 << 20,
            max_message_bytes: 1 << 20,
            max_inflight_messages: 256,
            max_uncommitted_bytes: 16 << 20,
            max_waiting_bytes: 64 << 20,
            compact_after_bytes: 32 << 20,
            journal: JournalLimits::default(),
        }
    }
}

impl ReplicaConfig {
    /// Ticks after which a read that a follower sent to its leader is sent again: the message may be lost.
    pub(crate) fn read_retry_ticks(&self) -> u64 {
        u64::from(self.election_ticks)
    }

    /// Ticks after which a read is given up: an election and a half.
    pub(crate) fn read_timeout_ticks(&self) -> u64 {
        3 * u64::from(self.election_ticks)
    }

    /// # Errors
    /// Names the value that can't be used.
    pub(crate) fn check(&self) -> Result<(), ReplicaError> {
        let limits = &self.limits;
        let problem = if self.id.0 == 0 {
            "a replica's id is a positive number".to_owned()
        } else if self.heartbeat_ticks == 0 {
            "heartbeat_ticks is 0, and a leader has to be heard of".to_owned()
        } else if self.election_ticks <= self.heartbeat_ticks {
            format!(
                "election_ticks is {} and heartbeat_ticks {}: a follower would give its leader up between two heartbeats",
                self.election_ticks, self.heartbeat_ticks
            )
        } else if limits.max_inflight_messages == 0 {
            "max_inflight_messages is 0, so nothing would be replicated".to_owned()
        } else if limits.max_uncommitted_bytes < limits.max_message_bytes {
            format!(
                "max_uncommitted_bytes is {} and max_message_bytes {}: no message could be filled",
                limits.max_uncommitted_bytes, limits.max_message_bytes
            )
        } else if limits.journal.max_entry_bytes()
            < limits.max_entry_bytes.saturating_add(ENTRY_OVERHEAD_BYTES)
        {
            format!(
                "max_entry_bytes is {} and an entry of the journal holds {}",
                limits.max_entry_bytes,
                limits.journal.max_entry_bytes()
            )
        } else {
            return Ok(());
        };
        Err(ReplicaError::Config { problem })
    }
}

/// What an entry holds besides its commands.
pub(crate) const ENTRY_OVERHEAD_BYTES: u64 = 64;
