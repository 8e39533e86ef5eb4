//! The state in snapshot files.

use convoy_journal::{JournalError, RealDisk, SnapshotMeta, Snapshots};
use convoy_state_machine::Cluster;
use convoy_state_machine::codec::{self, CodecError};
use tokio::sync::mpsc;

use super::request::Request;

/// A snapshot that could not be written or read.
#[derive(Debug, thiserror::Error)]
pub(super) enum SnapshotError {
    #[error("the snapshot of entry {index} can't be used: {source}")]
    File { index: u64, source: JournalError },
    #[error("the snapshot of entry {index} can't be used: {source}")]
    State { index: u64, source: CodecError },
}

pub(super) fn read(
    snapshots: &Snapshots<RealDisk>,
    meta: &SnapshotMeta,
) -> Result<Cluster, SnapshotError> {
    let index = meta.index;
    let reader = snapshots
        .reader(meta)
        .map_err(|source| SnapshotError::File { index, source })?;
    codec::read_snapshot(reader).map_err(|source| SnapshotError::State { index, source })
}

fn write(
    snapshots: &Snapshots<RealDisk>,
    meta: &SnapshotMeta,
    cluster: &Cluster,
) -> Result<(), SnapshotError> {
    let index = meta.index;
    let failed = |source| SnapshotError::File { index, source };
    let mut writer = snapshots.writer(meta.clone()).map_err(failed)?;
    codec::write_snapshot(cluster, &mut writer)
        .map_err(|source| SnapshotError::State { index, source })?;
    writer.finish().map_err(failed)
}

/// Writes the state on a thread of its own; the replica's driver hears what became of it.
pub(super) fn write_aside(
    snapshots: Snapshots<RealDisk>,
    meta: SnapshotMeta,
    cluster: Cluster,
    requests: mpsc::Sender<Request>,
) {
    let for_want_of_a_thread = requests.clone();
    let work = move || {
        let index = meta.index;
        let outcome = match write(&snapshots, &meta, &cluster) {
            Ok(()) => Request::SnapshotWritten(Some(meta)),
            Err(SnapshotError::File { source, .. }) if source.is_fatal() => {
                Request::Fail(source.to_string())
            }
            Err(error) => {
                tracing::warn!(%error, index, "no snapshot was written; it is tried again");
                Request::SnapshotWritten(None)
            }
        };
        // The driver that would want to know may have ended.
        let _ = requests.blocking_send(outcome);
    };
    let thread = std::thread::Builder::new().name("snapshot".to_owned());
    if let Err(error) = thread.spawn(work) {
        tracing::warn!(%error, "no thread for a snapshot; it is tried again");
        // If the queue is full too, none is written until the next start, and the log grows.
        let _ = for_want_of_a_thread.try_send(Request::SnapshotWritten(None));
    }
}
