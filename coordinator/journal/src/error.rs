//! One error for log and snapshots: which file, where, what was found, what to do.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::types::Identity;

/// An operation on log or snapshots that failed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk refused something that harms nothing: the operation can be tried again.
    #[error("cannot {operation} {file}: {source}")]
    Io {
        /// A verb: "read", "remove".
        operation: &'static str,
        /// What it was done to.
        file: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A write or sync failed, so what is on the disk is unknown. Fatal: the process must abort, and recover at its next start.
    #[error(
        "cannot {operation} {file}: {source}; what of it is durable is unknown, so this process must stop and recover from \
         the disk; check the disk's health"
    )]
    Fatal {
        /// A verb: "write", "sync".
        operation: &'static str,
        /// What it was done to.
        file: String,
        /// Why it failed.
        source: io::Error,
    },
    /// An earlier call was fatal and its caller went on nevertheless.
    #[error(
        "the log is closed since an earlier failure ({cause}); stop this process and start it again"
    )]
    Poisoned {
        /// The earlier error.
        cause: String,
    },
    /// The disk is full. Nothing was changed; the call can be repeated when there is room.
    #[error(
        "no room for {file}: {needed_bytes} bytes are needed and {free_bytes} are free; make room on the disk that holds \
         the data folder"
    )]
    Full {
        /// What was to be written.
        file: String,
        /// Bytes that it takes.
        needed_bytes: u64,
        /// Bytes that may still be allocated.
        free_bytes: u64,
    },
    /// Another process uses the folder.
    #[error(
        "the data folder {} is in use by {}; two replicas cannot share one: stop that process or choose another folder",
        folder.display(), process(*pid)
    )]
    Locked {
        /// The folder.
        folder: PathBuf,
        /// Whose it is, where that process wrote it down.
        pid: Option<u32>,
    },
    /// Not a file of ours, or its first bytes are damaged.
    #[error(
        "{file} begins with {found:02x?} instead of {expected:02x?}: it is no {what} of Convoy's, or it is damaged; put the \
         right file back, or replace this replica by a new one (its data folder emptied, under a new id)"
    )]
    WrongMagic {
        /// The file.
        file: String,
        /// "log segment" or "snapshot".
        what: &'static str,
        /// Its first 8 bytes.
        found: [u8; 8],
        /// What they should be.
        expected: [u8; 8],
    },
    /// Written by another release.
    #[error(
        "{file} has format version {found} and this release reads version {supported}; start the release that wrote it, or a \
         later one"
    )]
    WrongVersion {
        /// The file.
        file: String,
        /// Its version.
        found: u32,
        /// The one that can be read.
        supported: u32,
    },
    /// A file is shorter or longer than it says of itself.
    #[error(
        "{file} is {found_bytes} bytes long and should be {expected_bytes}: it was cut or extended from outside; put the right \
         file back, or replace this replica by a new one (its data folder emptied, under a new id)"
    )]
    WrongLength {
        /// The file.
        file: String,
        /// Its length.
        found_bytes: u64,
        /// The length written in it, or the least it can have.
        expected_bytes: u64,
    },
    /// Bytes that were durable are damaged.
    #[error(
        "{file} is damaged at byte {offset}: {found}{}; restore the file, or replace this replica by a new one (its data folder \
         emptied, under a new id)", lost(*entries)
    )]
    Corrupt {
        /// The file.
        file: String,
        /// Where, in bytes from its start.
        offset: u64,
        /// What is wrong there.
        found: String,
        /// First and last index of entries that are lost with it, as far as is known.
        entries: Option<(u64, u64)>,
    },
    /// A segment that is needed is not there.
    #[error(
        "{file} is missing{}; put it back, or replace this replica by a new one (its data folder emptied, under a new id)",
        lost(*entries)
    )]
    MissingSegment {
        /// The file's name.
        file: String,
        /// First and last index of entries that are lost with it, as far as is known.
        entries: Option<(u64, u64)>,
    },
    /// The log begins after an entry that no snapshot contains.
    #[error(
        "the log begins after entry {needed_index} and no snapshot that can be read reaches it ({found}); put the snapshot \
         back, or replace this replica by a new one (its data folder emptied, under a new id)"
    )]
    MissingSnapshot {
        /// The last entry that was compacted away.
        needed_index: u64,
        /// The newest snapshot there is, in words.
        found: String,
    },
    /// The hard state promises more than the log holds.
    #[error(
        "{file} says that entries up to {commit} are committed, but the log ends with {last}: its end was lost; replace this \
         replica by a new one (its data folder emptied, under a new id)"
    )]
    CommittedEntriesMissing {
        /// The last segment.
        file: String,
        /// The committed index.
        commit: u64,
        /// The last index there is.
        last: u64,
    },
    /// [`Journal::initialise`](crate::Journal::initialise) of a log that has an owner.
    #[error(
        "{file} already belongs to {found:?}, it cannot be given to {wanted:?}; choose another data folder"
    )]
    AlreadyInitialised {
        /// The last segment.
        file: String,
        /// Its owner.
        found: Identity,
        /// Who was to become it.
        wanted: Identity,
    },
    /// The caller asked for what would break the log: an error in the program. Nothing was changed.
    #[error("{file}: {reason}; this is an error in the program, nothing was written")]
    Misuse {
        /// What it was asked of.
        file: String,
        /// What was asked, with its numbers.
        reason: String,
    },
}

impl JournalError {
    /// Whether the disk is full: reading goes on, and the call can be repeated when there is room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }

    /// Whether the process must abort, because nobody knows what is durable.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Fatal { .. } | Self::Poisoned { .. })
    }

    pub(crate) fn io(operation: &'static str, file: &str, source: io::Error) -> Self {
        Self::Io {
            operation,
            file: file.to_owned(),
            source,
        }
    }

    pub(crate) fn fatal(operation: &'static str, file: &str, source: io::Error) -> Self {
        Self::Fatal {
            operation,
            file: file.to_owned(),
            source,
        }
    }

    pub(crate) fn corrupt(file: &str, offset: u64, found: impl Into<String>) -> Self {
        Self::Corrupt {
            file: file.to_owned(),
            offset,
            found: found.into(),
            entries: None,
        }
    }

    pub(crate) fn misuse(file: &str, reason: impl Into<String>) -> Self {
        Self::Misuse {
            file: file.to_owned(),
            reason: reason.into(),
        }
    }
}

/// Whether the error says that the disk, or the user's share of it, is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::StorageFull
        || Errno::from_io_error(error)
            .is_some_and(|errno| errno == Errno::NOSPC || errno == Errno::DQUOT)
}

fn process(pid: Option<u32>) -> String {
    pid.map_or_else(
        || "another process".to_owned(),
        |pid| format!("process {pid}"),
    )
}

fn lost(entries: Option<(u64, u64)>) -> String {
    match entries {
        Some((first, last)) if first == last => format!(", entry {first} is lost with it"),
        Some((first, last)) => format!(", entries {first} to {last} are lost with it"),
        None => String::new(),
    }
}
