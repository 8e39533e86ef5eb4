//! Snapshot files: written beside their place, renamed when they are whole and durable.

mod format;
mod reader;
mod writer;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::disk::Disk;
use crate::error::JournalError;
use crate::types::{Position, SnapshotMeta};

pub use reader::SnapshotReader;
pub use writer::SnapshotWriter;

const FOLDER: &str = "the data folder";

/// The snapshot files of one replica. Clones share the folder, and can be used by other threads.
pub struct Snapshots<D: Disk> {
    disk: Arc<D>,
    /// Files begun so far, so that two of the same position don't get in each other's way.
    begun: Arc<AtomicU64>,
}

impl<D: Disk> Clone for Snapshots<D> {
    fn clone(&self) -> Self {
        Self {
            disk: Arc::clone(&self.disk),
            begun: Arc::clone(&self.begun),
        }
    }
}

impl<D: Disk> Snapshots<D> {
    /// Removes unfinished ones; so call it once and clone it, or a writer loses its file.
    ///
    /// # Errors
    /// If the folder can't be read or a file can't be removed.
    pub fn open(disk: Arc<D>) -> Result<Self, JournalError> {
        for name in list(&*disk)?.iter().filter(|name| is_unfinished(name)) {
            disk.remove(name)
                .map_err(|source| JournalError::io("remove", name, source))?;
        }
        Ok(Self {
            disk,
            begun: Arc::new(AtomicU64::new(0)),
        })
    }

    /// The newest; its whole file is read and verified.
    ///
    /// # Errors
    /// If it is damaged, with file and offset. [`Journal::open`](crate::Journal::open) renames one that is not needed, because
    /// an older one and the log hold the same; so after it there is no such error but for later damage.
    pub fn newest(&self) -> Result<Option<SnapshotMeta>, JournalError> {
        let survey = survey(&*self.disk, &list(&*self.disk)?)?;
        match survey.damaged.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(survey.newest),
        }
    }

    /// Starts a snapshot file; it appears when it is finished.
    ///
    /// # Errors
    /// If the disk is full or fails, or `meta` names too many members.
    pub fn writer(&self, meta: SnapshotMeta) -> Result<SnapshotWriter<D>, JournalError> {
        SnapshotWriter::begin(Arc::clone(&self.disk), &self.begun, &meta)
    }

    /// Opens a snapshot's payload; checksums are verified on the way. A snapshot that is pruned meanwhile can be read to its end.
    ///
    /// # Errors
    /// If there is none of that index and term, or its header or end is damaged.
    pub fn reader(&self, meta: &SnapshotMeta) -> Result<SnapshotReader<D>, JournalError> {
        SnapshotReader::open(&*self.disk, meta.position())
    }

    /// Removes all but the newest `keep`, of which there is at least one; and damaged ones that were set aside, once there is
    /// a newer one.
    ///
    /// # Errors
    /// If the folder can't be read or a file can't be removed.
    pub fn prune(&self, keep: usize) -> Result<(), JournalError> {
        let names = list(&*self.disk)?;
        let kept = newest_first(&names);
        let Some(newest) = kept.first() else {
            return Ok(());
        };
        let old = kept.iter().skip(keep.max(1)).map(|found| name(*found));
        let obsolete = names.iter().filter(|name| {
            let before = name.strip_suffix(SET_ASIDE).and_then(position);
            before.is_some_and(|before| before.index <= newest.index)
        });
        for name in old.chain(obsolete.cloned()) {
            self.disk
                .remove(&name)
                .map_err(|source| JournalError::io("remove", &name, source))?;
        }
        Ok(())
    }
}

/// What the snapshot files are worth.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// The newest that is whole.
    pub(crate) newest: Option<SnapshotMeta>,
    /// Damaged ones that are newer, the newest first.
    pub(crate) damaged: Vec<(String, JournalError)>,
}

impl Survey {
    /// Whether there is no snapshot file.
    pub(crate) fn is_empty(&self) -> bool {
        self.newest.is_none() && self.damaged.is_empty()
    }
}

/// Verifies snapshots from the newest on until one is whole.
///
/// # Errors
/// If one can't be read, or was written by another release; an older one is no replacement then.
pub(crate) fn survey<D: Disk>(disk: &D, names: &[String]) -> Result<Survey, JournalError> {
    let mut survey = Survey::default();
    for position in newest_first(names) {
        match SnapshotReader::open(disk, position).and_then(SnapshotReader::verified) {
            Ok(meta) => {
                survey.newest = Some(meta);
                break;
            }
            Err(
                error @ (JournalError::Corrupt { .. }
                | JournalError::WrongLength { .. }
                | JournalError::WrongMagic { .. }),
            ) => survey.damaged.push((name(position), error)),
            Err(error) => return Err(error),
        }
    }
    Ok(survey)
}

/// Positions of all snapshot files, the newest first; whether they are whole is not looked at.
pub(crate) fn positions<D: Disk>(disk: &D) -> Result<Vec<Position>, JournalError> {
    Ok(newest_first(&list(disk)?))
}

fn newest_first(names: &[String]) -> Vec<Position> {
    let mut positions: Vec<Position> = names.iter().filter_map(|name| position(name)).collect();
    positions.sort_unstable_by_key(|found| std::cmp::Reverse((found.index, found.term)));
    positions
}

fn list<D: Disk>(disk: &D) -> Result<Vec<String>, JournalError> {
    disk.list()
        .map_err(|source| JournalError::io("list", FOLDER, source))
}

/// What a damaged snapshot's name ends with when it was set aside.
const SET_ASIDE: &str = ".corrupt";

/// The name of the snapshot that ends with `position`; sorting names sorts positions.
pub(crate) fn name(position: Position) -> String {
    format!("snapshot-{:020}-{:020}.bin", position.index, position.term)
}

/// The name of an unfinished one.
fn unfinished(position: Position, number: u64) -> String {
    format!("{}.{number}.tmp", name(position))
}

/// Whether a name is one of an unfinished snapshot.
pub(crate) fn is_unfinished(name: &str) -> bool {
    name.starts_with("snapshot-") && name.ends_with(".tmp")
}

/// The name of a damaged snapshot that is not needed, kept for whoever looks for the cause.
pub(crate) fn set_aside(name: &str) -> String {
    format!("{name}{SET_ASIDE}")
}

/// The position in a snapshot's name; None for other files.
fn position(name: &str) -> Option<Position> {
    let numbers = name.strip_prefix("snapshot-")?.strip_suffix(".bin")?;
    let (index, term) = numbers.split_once('-')?;
    let number = |digits: &str| {
        let is_number = digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit());
        is_number.then(|| digits.parse().ok()).flatten()
    };
    Some(Position {
        index: number(index)?,
        term: number(term)?,
    })
}

#[cfg(test)]
mod tests;
