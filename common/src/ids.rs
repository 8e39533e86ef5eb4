//! Names and numbers that must not be mixed up.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::MAX_ID_BYTES;

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl $name {
            /// The number after this one.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }
    };
}

number_id! {
    /// A worker's place in its job, kept when the process behind it is replaced.
    WorkerId(u32)
}
number_id! {
    /// One life of a process; given out by the coordinator, strictly increasing in the cluster.
    Incarnation(u64)
}
number_id! {
    /// A committed membership of a job; strictly increasing, 0 before the first.
    Generation(u64)
}
number_id! {
    /// A member's place in the ring of one attempt, `0..world`.
    Rank(u32)
}
number_id! {
    /// A logical stream of samples, `0..data_shards`.
    ShardIndex(u32)
}
number_id! {
    /// One pass over the training split, from 0.
    EpochIndex(u32)
}
number_id! {
    /// Optimizer updates since the start of the job; as a position, how many are complete.
    StepIndex(u64)
}
number_id! {
    /// A device slot of a node, from 0.
    SlotIndex(u32)
}
number_id! {
    /// A coordinator; given out once, a wiped one comes back under another.
    ReplicaId(u64)
}

/// Why a text is no id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{kind} {text:?} must be 1 to {MAX_ID_BYTES} letters, digits, '-', '_' or '.', starting with a letter or digit"
)]
pub struct InvalidId {
    kind: &'static str,
    text: String,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text of the id; safe as the name of a file or folder.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                if is_id(&text) { Ok(Self(text)) } else { Err(InvalidId { kind: $kind, text }) }
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// One training run: its spec's name and a number that makes it unique in the cluster.
    JobId, "job id"
}
text_id! {
    /// A machine.
    NodeId, "node id"
}

fn is_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= MAX_ID_BYTES
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// One try at forming a generation. Compared as `(term, counter)`; a smaller one is refused wherever it shows up.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Attempt {
    /// Term of the leader that started it.
    pub term: u64,
    /// Counts the attempts of that leader, from 1.
    pub counter: u64,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.term, self.counter)
    }
}

/// One life of one worker process of one job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkerRef {
    /// The job it works for.
    pub job: JobId,
    /// Its place in the job.
    pub worker: WorkerId,
    /// Which life.
    pub incarnation: Incarnation,
}

impl fmt::Display for WorkerRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "worker {} of job {} (incarnation {})",
            self.worker, self.job, self.incarnation
        )
    }
}

/// What a worker is about to do, in the order in which it happens at one step.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Run the next training step.
    #[default]
    Train,
    /// Evaluate the state of this step.
    Evaluate,
    /// Write the last checkpoint and end.
    Finish,
}

/// How far a worker is; compared in the order of its fields.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Position {
    /// The generation it adopted.
    pub generation: Generation,
    /// Completed optimizer updates.
    pub step: StepIndex,
    /// What it is about to do.
    pub phase: Phase,
}

#[cfg(test)]
mod tests;
