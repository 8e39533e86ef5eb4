//! The coordinator's write-ahead log and snapshot files.
//!
//! Everything goes through a [`Disk`]: the real one, or a simulated one with its faults. A record of the log is durable when
//! [`Journal::append`] returned after a sync; a snapshot appears whole or not at all.
//!
//! **Invariants.** What was synced is recovered, or the start is refused with file and offset; what was never written does
//! not appear; the recovered log has no gap. After a failed sync nothing is promised any more: the error is fatal.
//! **Absent:** clocks, networks, Raft's rules, the meaning of data.

mod bytes;
mod disk;
mod error;
mod journal;
mod limits;
mod snapshots;
mod types;

pub use disk::{Disk, DiskFile, RealDisk, RealFile, SimulatedDisk, SimulatedFile};
pub use error::JournalError;
pub use journal::Journal;
pub use limits::{JournalLimits, Room};
pub use snapshots::{SnapshotReader, SnapshotWriter, Snapshots};
pub use types::{Entry, EntryKind, HardState, Identity, Position, Recovered, SnapshotMeta};
