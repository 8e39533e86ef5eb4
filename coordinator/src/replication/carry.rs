//! A snapshot on its way to a follower: its announcement, its content in pieces, its length.

use std::io::Read;

use bytes::Bytes;
use convoy_consensus::SnapshotToSend;
use convoy_journal::{RealDisk, SnapshotMeta, Snapshots};
use convoy_proto::raft::v1;
use convoy_proto::raft::v1::snapshot_piece::Piece;
use convoy_wire::sources::with_sources;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::dial::dial;
use super::outbox::Network;
use super::request::Request;

/// Bytes of one piece; gRPC's own limit is 4 MiB.
const PIECE_BYTES: usize = 1 << 20;

/// Pieces that were read and are not sent yet.
const READY_PIECES: usize = 2;

/// Sends it, and tells the replica what became of it.
pub(super) async fn carry(
    network: Network,
    snapshots: Snapshots<RealDisk>,
    snapshot: SnapshotToSend,
) {
    let (to, index) = (snapshot.to, snapshot.meta.index);
    tracing::info!(%to, index, "sends a snapshot");
    let sent = send(&network, snapshots, snapshot).await;
    match &sent {
        Ok(()) => tracing::info!(%to, index, "snapshot is in place"),
        Err(reason) => tracing::warn!(%to, index, reason, "snapshot could not be sent"),
    }
    let is_in_place = sent.is_ok();
    // The driver that would want to know may have ended.
    let _ = network
        .requests
        .send(Request::SnapshotSent { to, is_in_place })
        .await;
}

async fn send(
    network: &Network,
    snapshots: Snapshots<RealDisk>,
    snapshot: SnapshotToSend,
) -> Result<(), String> {
    let SnapshotToSend { to, meta, message } = snapshot;
    let address = network.addresses.borrow().of(to).cloned();
    let address = address.ok_or_else(|| "its address is not known".to_owned())?;
    let mut client = dial(&address, network.key.as_ref()).await?;
    let (pieces, ready) = mpsc::channel(READY_PIECES);
    let reading = tokio::task::spawn_blocking(move || read(&snapshots, &meta, message, &pieces));
    let installed = client.install(ReceiverStream::new(ready)).await;
    // A file that can't be read says more than the stream that ended for it.
    match reading.await {
        Ok(Err(Unread::Failed(reason))) => return Err(reason),
        Ok(Ok(()) | Err(Unread::Unwanted)) => {}
        Err(error) => return Err(with_sources(&error)),
    }
    let installed = installed.map(|_| ());
    installed.map_err(|status| status.message().to_owned())
}

enum Unread {
    /// The stream is over.
    Unwanted,
    Failed(String),
}

fn read(
    snapshots: &Snapshots<RealDisk>,
    meta: &SnapshotMeta,
    message: v1::RaftMessage,
    pieces: &mpsc::Sender<v1::SnapshotPiece>,
) -> Result<(), Unread> {
    let give = |piece: Piece| {
        let piece = v1::SnapshotPiece { piece: Some(piece) };
        pieces.blocking_send(piece).map_err(|_| Unread::Unwanted)
    };
    let mut reader = snapshots
        .reader(meta)
        .map_err(|error| Unread::Failed(error.to_string()))?;
    give(Piece::Message(message))?;
    let mut content_bytes = 0;
    loop {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let read = reader
            .by_ref()
            .take(PIECE_BYTES as u64)
            .read_to_end(&mut piece)
            .map_err(|error| Unread::Failed(error.to_string()))?;
        if read == 0 {
            return give(Piece::ContentBytes(content_bytes));
        }
        content_bytes += read as u64;
        give(Piece::Content(Bytes::from(piece)))?;
    }
}
