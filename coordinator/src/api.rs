//! The gRPC services. Each call becomes an event for the leader; nothing is decided here.
//!
//! **Invariant:** the only module that knows protobuf types, all of them in [`convert`].

mod convert;
mod coordinators;
mod session;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use convoy_access::ClusterKey;
use convoy_access::grpc::AccessLayer;
use convoy_common::limits::MAX_MESSAGE_BYTES;
use convoy_proto::raft::v1::raft_server::RaftServer;
use convoy_proto::v1;
use convoy_proto::v1::agents_server::{Agents, AgentsServer};
use convoy_proto::v1::coordinators_server::CoordinatorsServer;
use convoy_proto::v1::jobs_server::{Jobs, JobsServer};
use convoy_proto::v1::workers_server::{Workers, WorkersServer};
use convoy_wire::redirect::Redirect;
use futures::stream;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use crate::leader::{ClientRequest, Event, Refused, Reply, SessionId};
use crate::replication::{Directory, MAX_DELIVERY_BYTES, RaftService, ReplicaHandle};

/// A peer that vanished without a word is noticed after both together.
const PING_PERIOD: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

type Answers<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

/// Whom it serves, and where.
pub(crate) struct Serving {
    pub(crate) listener: TcpListener,
    /// A session's first message must come within this time.
    pub(crate) hello: Duration,
    /// Only who knows it is served, if there is one.
    pub(crate) key: Option<ClusterKey>,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) directory: Directory,
    pub(crate) replica: ReplicaHandle,
    /// For the other coordinators.
    pub(crate) raft: RaftService,
}

/// Bytes of one stream that may be on their way unread: a few of Raft's messages full of entries.
const WINDOW_BYTES: u32 = 4 << 20;

/// Serves until told to stop and every call has ended.
pub(crate) async fn serve(
    Serving {
        listener,
        hello,
        key,
        events,
        directory,
        replica,
        raft,
    }: Serving,
    stopped: oneshot::Receiver<()>,
) {
    let api = Api {
        events,
        hello,
        sessions: Arc::default(),
        directory,
        replica,
    };
    let limit = MAX_MESSAGE_BYTES;
    // Here and not at the server, which discards it: small answers must not wait for the acknowledgement of earlier ones.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let served = Server::builder()
        .http2_keepalive_interval(Some(PING_PERIOD))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(2 * WINDOW_BYTES)
        .layer(AccessLayer::new(key))
        .add_service(JobsServer::new(api.clone()).max_decoding_message_size(limit))
        .add_service(AgentsServer::new(api.clone()).max_decoding_message_size(limit))
        .add_service(WorkersServer::new(api.clone()).max_decoding_message_size(limit))
        .add_service(CoordinatorsServer::new(api))
        .add_service(RaftServer::new(raft).max_decoding_message_size(MAX_DELIVERY_BYTES))
        .serve_with_incoming_shutdown(incoming, async {
            // A sender that is gone means the same as one that spoke.
            let _ = stopped.await;
        })
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the server ended");
    }
}

/// What every call needs.
#[derive(Clone)]
struct Api {
    events: mpsc::Sender<Event>,
    /// A session's first message must come within this time.
    hello: Duration,
    sessions: Arc<AtomicU64>,
    directory: Directory,
    replica: ReplicaHandle,
}

impl Api {
    /// Hands an event with a way to answer to the leader, and waits for the answer.
    async fn ask<T>(&self, event: impl FnOnce(Reply<T>) -> Event) -> Result<T, Status> {
        let (reply, answer) = oneshot::channel();
        let gone = |()| convert::status(&Refused::ShuttingDown);
        self.events
            .send(event(Reply(reply)))
            .await
            .map_err(|_| gone(()))?;
        answer
            .await
            .map_err(|_| gone(()))?
            .map_err(|refused| convert::status(&refused))
    }

    fn next_session(&self) -> SessionId {
        SessionId(self.sessions.fetch_add(1, Ordering::Relaxed))
    }
}

#[tonic::async_trait]
impl Jobs for Api {
    async fn submit(
        &self,
        request: Request<v1::SubmitRequest>,
    ) -> Result<Response<v1::SubmitReply>, Status> {
        let submission = Box::new(convert::submission(request.into_inner())?);
        let job = self
            .ask(|reply| Event::Client(ClientRequest::Submit { submission, reply }))
            .await?;
        Ok(Response::new(v1::SubmitReply {
            job_id: job.to_string(),
        }))
    }

    async fn cancel(
        &self,
        request: Request<v1::CancelRequest>,
    ) -> Result<Response<v1::CancelReply>, Status> {
        let v1::CancelRequest {
            job_id,
            reason,
            client_id,
            sequence,
        } = request.into_inner();
        let job = convert::job_id(&job_id)?;
        let origin = convert::origin(client_id, sequence);
        self.ask(|reply| {
            Event::Client(ClientRequest::Cancel {
                job,
                reason,
                origin,
                reply,
            })
        })
        .await?;
        Ok(Response::new(v1::CancelReply {}))
    }

    async fn annotate(
        &self,
        request: Request<v1::AnnotateRequest>,
    ) -> Result<Response<v1::AnnotateReply>, Status> {
        let note = Box::new(convert::note(request.into_inner())?);
        self.ask(|reply| Event::Client(ClientRequest::Annotate { note, reply }))
            .await?;
        Ok(Response::new(v1::AnnotateReply {}))
    }

    async fn list_jobs(
        &self,
        request: Request<v1::ListJobsRequest>,
    ) -> Result<Response<v1::ListJobsReply>, Status> {
        let v1::ListJobsRequest {
            open_only,
            after_number: after,
        } = request.into_inner();
        let page = self
            .ask(|reply| {
                Event::Client(ClientRequest::ListJobs {
                    open_only,
                    after,
                    reply,
                })
            })
            .await?;
        Ok(Response::new(convert::jobs(page)))
    }

    async fn list_nodes(
        &self,
        request: Request<v1::ListNodesRequest>,
    ) -> Result<Response<v1::ListNodesReply>, Status> {
        let after = request.into_inner().after_node_id;
        let after = if after.is_empty() {
            None
        } else {
            Some(convert::node_id(after)?)
        };
        let page = self
            .ask(|reply| Event::Client(ClientRequest::ListNodes { after, reply }))
            .await?;
        Ok(Response::new(convert::nodes(page)))
    }

    async fn job_spec(
        &self,
        request: Request<v1::JobSpecRequest>,
    ) -> Result<Response<v1::JobSpecReply>, Status> {
        let job = convert::job_id(&request.into_inner().job_id)?;
        let spec = self
            .ask(|reply| Event::Client(ClientRequest::Spec { job, reply }))
            .await?;
        Ok(Response::new(convert::submitted_spec(&spec)))
    }

    async fn read_log(
        &self,
        request: Request<v1::ReadLogRequest>,
    ) -> Result<Response<v1::LogPart>, Status> {
        let wanted = convert::log_wanted(request.into_inner())?;
        let part = self
            .ask(|reply| Event::Client(ClientRequest::ReadLog { wanted, reply }))
            .await?;
        Ok(Response::new(convert::log_part(part)))
    }

    async fn describe(
        &self,
        request: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::JobView>, Status> {
        let job = convert::job_id(&request.into_inner().job_id)?;
        let view = self
            .ask(|reply| Event::Client(ClientRequest::Describe { job, reply }))
            .await?;
        Ok(Response::new(convert::job_view(&view)))
    }

    type WatchStream = Answers<v1::JobView>;

    async fn watch(
        &self,
        request: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let job = convert::job_id(&request.into_inner().job_id)?;
        let views = self
            .ask(|reply| Event::Client(ClientRequest::Watch { job, reply }))
            .await?;
        let answers = WatchStream::new(views).map(|view| Ok(convert::job_view(&view)));
        // Views end with the leadership of whoever shows them.
        let directory = self.directory.clone();
        let end = stream::once(async move {
            let leader = directory.other_leader();
            Err(Redirect { leader }.status())
        });
        Ok(Response::new(Box::pin(answers.chain(end))))
    }
}

#[tonic::async_trait]
impl Agents for Api {
    type SessionStream = Answers<v1::AgentDirective>;

    async fn session(
        &self,
        request: Request<Streaming<v1::AgentReport>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        session::agent(self, request.into_inner())
            .await
            .map(Response::new)
    }
}

#[tonic::async_trait]
impl Workers for Api {
    type SessionStream = Answers<v1::WorkerDirective>;

    async fn session(
        &self,
        request: Request<Streaming<v1::WorkerReport>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        session::worker(self, request.into_inner())
            .await
            .map(Response::new)
    }
}
