//! What other replicas send: messages, and snapshots.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use convoy_common::ids::ReplicaId as MemberId;
use convoy_consensus::ReplicaId;
use convoy_journal::{RealDisk, SnapshotMeta, Snapshots};
use convoy_proto::raft::v1::raft_message::Body;
use convoy_proto::raft::v1::raft_server::Raft;
use convoy_proto::raft::v1::snapshot_piece::Piece;
use convoy_proto::raft::{PROTOCOL_VERSION, v1};
use convoy_state_machine::replica::Replica as Member;
use convoy_state_machine::version::ClusterVersion;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request as Call, Response, Status, Streaming};

use super::directory::Directory;
use super::probe::has_ended;
use super::request::Request;
use super::streams::{Sender, Stream, Streams};
use crate::leader::{Event, Reply};

/// Pieces of a snapshot that wait for the disk.
const WAITING_PIECES: usize = 2;

/// A stream's first delivery leaves with its call; only a sender that is no coordinator lets it be waited for.
const INTRODUCTION_LIMIT: Duration = Duration::from_secs(5);

/// Longest delivery: a batch, and the message that was too much for it.
pub(crate) const MAX_DELIVERY_BYTES: usize = 16 << 20;

/// Serves the other replicas.
#[derive(Clone)]
pub(crate) struct RaftService {
    pub(super) cluster: u64,
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) snapshots: Snapshots<RealDisk>,
    /// One snapshot at a time: a second one is newer, and comes again.
    pub(super) installing: Arc<Semaphore>,
    pub(super) streams: Streams,
    pub(super) directory: Directory,
    /// The least time without a word of the leader after which another is elected.
    pub(super) election_timeout: Duration,
    /// True when this coordinator ends: streams of others don't end by themselves.
    pub(super) stopping: watch::Receiver<bool>,
}

#[tonic::async_trait]
impl Raft for RaftService {
    type DeliverStream = ReceiverStream<Result<v1::Delivered, Status>>;

    async fn deliver(
        &self,
        call: Call<Streaming<v1::Delivery>>,
    ) -> Result<Response<Self::DeliverStream>, Status> {
        let (ended, answers) = mpsc::channel(1);
        let mut service = self.clone();
        let mut deliveries = call.into_inner();
        let (stream, first) = service.first(&mut deliveries).await?;
        // Answered before anything else is read, so that the sender knows whom it speaks with.
        tokio::spawn(async move {
            let read = service.read(first, deliveries).await;
            let lost = stream.filter(|stream| service.streams.close(*stream));
            if let Err(status) = read {
                // The sender may be gone.
                let _ = ended.send(Err(status)).await;
            }
            drop(ended);
            if let Some(stream) = lost {
                service.connection_lost(stream).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    async fn install(
        &self,
        call: Call<Streaming<v1::SnapshotPiece>>,
    ) -> Result<Response<v1::Installed>, Status> {
        let Ok(_alone) = self.installing.try_acquire() else {
            return Err(Status::resource_exhausted("another snapshot is coming in"));
        };
        let mut pieces = call.into_inner();
        let (meta, message) = self.announced(pieces.message().await?)?;
        self.receive(meta, pieces).await?;
        let announcement = Request::Receive(vec![message]);
        self.requests.send(announcement).await.map_err(|_| over())?;
        Ok(Response::new(v1::Installed {}))
    }
}

impl RaftService {
    /// Whose stream it is, once its sender was found to fit in here, and the messages of its first delivery.
    async fn first(
        &self,
        deliveries: &mut Streaming<v1::Delivery>,
    ) -> Result<(Option<Stream>, Vec<v1::RaftMessage>), Status> {
        let late = |_| {
            Status::deadline_exceeded(format!(
                "the introduction did not come within {INTRODUCTION_LIMIT:?}"
            ))
        };
        let first = timeout(INTRODUCTION_LIMIT, deliveries.message());
        let first = first.await.map_err(late)??;
        let Some(v1::Delivery {
            introduction: Some(introduction),
            messages,
        }) = first
        else {
            return Err(malformed("a stream begins with an introduction"));
        };
        let replica = ReplicaId(introduction.replica);
        self.introduced(introduction).await?;
        let own = messages.first().filter(|message| message.from == replica.0);
        let stream = own.and_then(|message| {
            let birth = message.birth;
            self.streams.open(Sender { replica, birth })
        });
        Ok((stream, messages))
    }

    /// Until the stream ends.
    async fn read(
        &mut self,
        first: Vec<v1::RaftMessage>,
        mut deliveries: Streaming<v1::Delivery>,
    ) -> Result<(), Status> {
        let mut messages = first;
        loop {
            let received = self.requests.send(Request::Receive(messages)).await;
            received.map_err(|_| over())?;
            let delivery = tokio::select! {
                delivery = deliveries.message() => delivery?,
                _ = self.stopping.wait_for(|stopping| *stopping) => return Err(over()),
            };
            match delivery {
                None => return Ok(()),
                Some(delivery) if delivery.introduction.is_some() => {
                    return Err(malformed("a second introduction in one stream"));
                }
                Some(delivery) => messages = delivery.messages,
            }
        }
    }

    /// Nobody waits for a leader whose process ended. Of one whose connections broke, all of them together perhaps, that is
    /// not known: it dials again, and if it does not, its silence tells. Who claimed to be the leader and hangs up is asked for at
    /// the leader's address, and so changes nothing.
    async fn connection_lost(&self, Stream { from, .. }: Stream) {
        let Sender {
            replica: from,
            birth,
        } = from;
        if *self.stopping.borrow() || self.directory.leader() != Some(from) {
            return;
        }
        let Some(address) = self.directory.address_of(from) else {
            return;
        };
        // What is known later than its silence brings another leader is of no use.
        if has_ended(&address, self.election_timeout).await {
            tracing::info!(leader = %from, %address, "the leader's process has ended");
            let lost = Request::ConnectionLost { from, birth };
            // The driver that would want to know may have ended.
            let _ = self.requests.send(lost).await;
        }
    }

    async fn introduced(&self, introduction: v1::Introduction) -> Result<(), Status> {
        self.check_cluster(introduction.cluster)?;
        check_protocol(&introduction)?;
        let replica = MemberId(introduction.replica);
        let (reply, answer) = oneshot::channel();
        let event = Event::Introduced {
            replica,
            member: member(introduction),
            reply: Reply(reply),
        };
        self.events.send(event).await.map_err(|_| over())?;
        let answered = answer.await.map_err(|_| over())?;
        answered.map_err(|refused| Status::failed_precondition(refused.to_string()))
    }

    fn check_cluster(&self, given: u64) -> Result<(), Status> {
        let own = self.cluster;
        if given == own {
            return Ok(());
        }
        Err(Status::failed_precondition(format!(
            "this is a coordinator of cluster {own:016x}, not of {given:016x}: the name of the cluster differs"
        )))
    }

    /// The first piece of a snapshot, checked.
    fn announced(
        &self,
        first: Option<v1::SnapshotPiece>,
    ) -> Result<(SnapshotMeta, v1::RaftMessage), Status> {
        let Some(Piece::Message(message)) = first.and_then(|piece| piece.piece) else {
            return Err(malformed("a snapshot begins with its message"));
        };
        self.check_cluster(message.cluster)?;
        let own = self.directory.own_id().0;
        if message.to != own {
            let to = message.to;
            return Err(malformed(&format!(
                "a snapshot for replica {to} came to replica {own}"
            )));
        }
        let Some(Body::InstallSnapshot(announced)) = &message.body else {
            return Err(malformed("a snapshot's message announces a snapshot"));
        };
        let meta = SnapshotMeta {
            index: announced.index,
            term: announced.term,
            voters: announced.voters.clone(),
            learners: announced.learners.clone(),
            voters_outgoing: announced.voters_outgoing.clone(),
            learners_next: announced.learners_next.clone(),
            auto_leave: announced.auto_leave,
        };
        Ok((meta, message))
    }

    /// Puts a snapshot's file in place.
    async fn receive(
        &self,
        meta: SnapshotMeta,
        mut pieces: Streaming<v1::SnapshotPiece>,
    ) -> Result<(), Status> {
        let (contents, waiting) = mpsc::channel(WAITING_PIECES);
        let snapshots = self.snapshots.clone();
        let writing = tokio::task::spawn_blocking(move || write(&snapshots, meta, waiting));
        let mut received = 0;
        let whole = loop {
            let piece = pieces.message().await;
            match piece.map(|piece| piece.and_then(|piece| piece.piece)) {
                Ok(Some(Piece::Content(content))) => {
                    received += content.len() as u64;
                    if contents.send(content).await.is_err() {
                        // The writer says why.
                        break Ok(());
                    }
                }
                Ok(Some(Piece::ContentBytes(sent))) if sent == received => {
                    // An empty piece stands for the end: without it nothing is put in place.
                    let _ = contents.send(Bytes::new()).await;
                    break Ok(());
                }
                Ok(Some(Piece::ContentBytes(sent))) => {
                    break Err(malformed(&format!(
                        "{received} bytes of a snapshot of {sent} came"
                    )));
                }
                Ok(Some(Piece::Message(_))) => break Err(malformed("a second message")),
                Ok(None) => break Err(malformed("the snapshot broke off")),
                Err(status) => break Err(status),
            }
        };
        drop(contents);
        let written = writing.await;
        whole?;
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Unwritten { reason, is_fatal })) => {
                if is_fatal {
                    // The driver that would have to stop may have stopped already.
                    let _ = self.requests.send(Request::Fail(reason.clone())).await;
                }
                Err(Status::internal(reason))
            }
            Err(error) => Err(Status::internal(error.to_string())),
        }
    }
}

fn check_protocol(introduction: &v1::Introduction) -> Result<(), Status> {
    let (theirs, ours) = (introduction.protocol_version, PROTOCOL_VERSION);
    if theirs == ours {
        return Ok(());
    }
    let v1::Introduction { replica, build, .. } = introduction;
    Err(Status::failed_precondition(format!(
        "coordinator {replica} (build {build}) speaks protocol {theirs} with other coordinators, this one (build {}) speaks \
         {ours}: use the same version of Convoy for both",
        crate::BUILD
    )))
}

/// A coordinator as it described itself.
pub(super) fn member(introduction: v1::Introduction) -> Member {
    Member {
        raft_address: introduction.raft_address,
        api_address: introduction.api_address,
        build: introduction.build,
        supports: ClusterVersion(introduction.supports),
    }
}

struct Unwritten {
    reason: String,
    is_fatal: bool,
}

impl From<convoy_journal::JournalError> for Unwritten {
    fn from(error: convoy_journal::JournalError) -> Self {
        Self {
            reason: error.to_string(),
            is_fatal: error.is_fatal(),
        }
    }
}

/// Everything up to an empty piece.
fn write(
    snapshots: &Snapshots<RealDisk>,
    meta: SnapshotMeta,
    mut contents: mpsc::Receiver<Bytes>,
) -> Result<(), Unwritten> {
    let mut writer = snapshots.writer(meta)?;
    while let Some(content) = contents.blocking_recv() {
        if content.is_empty() {
            return Ok(writer.finish()?);
        }
        writer.write_all(&content).map_err(|error| Unwritten {
            reason: format!("a snapshot could not be written: {error}"),
            is_fatal: false,
        })?;
    }
    Err(Unwritten {
        reason: "the snapshot broke off".to_owned(),
        is_fatal: false,
    })
}

fn malformed(what: &str) -> Status {
    Status::invalid_argument(what)
}

fn over() -> Status {
    Status::unavailable("this coordinator shuts down")
}
