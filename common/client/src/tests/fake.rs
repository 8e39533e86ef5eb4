//! Coordinators that answer over real connections and do what each test tells them. Each has a runtime of its own, so that
//! it can die with all its connections, as a process does.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use convoy_access::ClusterKey;
use convoy_access::grpc::AccessLayer;
use convoy_common::address::CoordinatorAddress;
use convoy_proto::v1;
use convoy_proto::v1::agent_directive::Directive;
use convoy_proto::v1::agent_report::Report;
use convoy_proto::v1::agents_server::{Agents, AgentsServer};
use convoy_proto::v1::jobs_server::{Jobs, JobsServer};
use convoy_wire::redirect::Redirect;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::Stream;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

use crate::{Endpoints, Origin};

/// Far beyond what any step takes on a busy machine.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);

type Directives = Result<v1::AgentDirective, Status>;

/// One session as the coordinator sees it; dropping it ends it.
pub(super) struct Seen {
    reports: Streaming<v1::AgentReport>,
    pub(super) directives: mpsc::Sender<Directives>,
}

impl Seen {
    pub(super) async fn report(&mut self) -> Option<Report> {
        let message = timeout(DEADLINE, self.reports.message())
            .await
            .unwrap()
            .ok()
            .flatten();
        message.map(|message| message.report.unwrap())
    }

    /// The next report that is no heartbeat.
    pub(super) async fn spoken(&mut self) -> Option<Report> {
        loop {
            match self.report().await {
                Some(Report::Heartbeat(_)) => {}
                other => return other,
            }
        }
    }

    pub(super) async fn direct(&self, directive: Directive) {
        let message = v1::AgentDirective {
            directive: Some(directive),
        };
        self.directives.send(Ok(message)).await.unwrap();
    }
}

/// One watch as the coordinator sees it; dropping it ends it.
pub(super) struct Watched {
    pub(super) request: v1::WatchRequest,
    pub(super) views: mpsc::Sender<Result<v1::JobView, Status>>,
}

impl Watched {
    pub(super) async fn show(&self, term: u64, revision: u64) {
        let view = v1::JobView {
            term,
            revision,
            ..Default::default()
        };
        self.views.send(Ok(view)).await.unwrap();
    }
}

/// What a coordinator is.
#[derive(Clone)]
pub(super) enum Mood {
    Leads,
    /// And says so, with what it knows.
    Follows(Option<CoordinatorAddress>),
    /// Takes calls and never answers.
    Silent,
    /// Carries commands out and never answers.
    Mute,
}

/// What happened at a coordinator.
pub(super) enum Event {
    Session(Seen),
    Watch(Watched),
    /// A command came, whatever the answer.
    Command(Origin),
}

#[derive(Clone)]
struct Service {
    mood: Arc<Mutex<Mood>>,
    /// Answers to come before the mood decides.
    refusals: Arc<Mutex<VecDeque<Status>>>,
    asked: Arc<Mutex<u32>>,
    events: mpsc::UnboundedSender<Event>,
}

impl Service {
    async fn admit(&self, command: Option<Origin>) -> Result<(), Status> {
        *self.asked.lock().unwrap() += 1;
        if let Some(refusal) = self.refusals.lock().unwrap().pop_front() {
            self.note(command);
            return Err(refusal);
        }
        let mood = self.mood.lock().unwrap().clone();
        match mood {
            Mood::Leads => {
                self.note(command);
                Ok(())
            }
            Mood::Follows(leader) => Err(Redirect { leader }.status()),
            Mood::Silent => std::future::pending().await,
            Mood::Mute => {
                self.note(command);
                std::future::pending().await
            }
        }
    }

    fn note(&self, command: Option<Origin>) {
        if let Some(origin) = command {
            let _ = self.events.send(Event::Command(origin));
        }
    }
}

fn origin(client_id: &str, sequence: u64) -> Option<Origin> {
    Some(Origin {
        client_id: client_id.to_owned(),
        sequence,
    })
}

#[tonic::async_trait]
impl Agents for Service {
    type SessionStream = ReceiverStream<Directives>;

    async fn session(
        &self,
        request: Request<Streaming<v1::AgentReport>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        self.admit(None).await?;
        let (directives, stream) = mpsc::channel(8);
        let _ = self.events.send(Event::Session(Seen {
            reports: request.into_inner(),
            directives,
        }));
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

#[tonic::async_trait]
impl Jobs for Service {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<v1::JobView, Status>> + Send>>;

    async fn submit(
        &self,
        request: Request<v1::SubmitRequest>,
    ) -> Result<Response<v1::SubmitReply>, Status> {
        let request = request.into_inner();
        self.admit(origin(&request.client_id, request.sequence))
            .await?;
        Ok(Response::new(v1::SubmitReply {
            job_id: request.spec_json,
        }))
    }

    async fn cancel(
        &self,
        request: Request<v1::CancelRequest>,
    ) -> Result<Response<v1::CancelReply>, Status> {
        let request = request.into_inner();
        self.admit(origin(&request.client_id, request.sequence))
            .await?;
        Ok(Response::new(v1::CancelReply {}))
    }

    async fn annotate(
        &self,
        request: Request<v1::AnnotateRequest>,
    ) -> Result<Response<v1::AnnotateReply>, Status> {
        let request = request.into_inner();
        self.admit(origin(&request.client_id, request.sequence))
            .await?;
        Ok(Response::new(v1::AnnotateReply {}))
    }

    async fn list_jobs(
        &self,
        _: Request<v1::ListJobsRequest>,
    ) -> Result<Response<v1::ListJobsReply>, Status> {
        self.admit(None).await?;
        Ok(Response::new(v1::ListJobsReply::default()))
    }

    async fn list_nodes(
        &self,
        _: Request<v1::ListNodesRequest>,
    ) -> Result<Response<v1::ListNodesReply>, Status> {
        self.admit(None).await?;
        Ok(Response::new(v1::ListNodesReply::default()))
    }

    async fn job_spec(
        &self,
        _: Request<v1::JobSpecRequest>,
    ) -> Result<Response<v1::JobSpecReply>, Status> {
        self.admit(None).await?;
        Ok(Response::new(v1::JobSpecReply::default()))
    }

    async fn read_log(
        &self,
        _: Request<v1::ReadLogRequest>,
    ) -> Result<Response<v1::LogPart>, Status> {
        self.admit(None).await?;
        Ok(Response::new(v1::LogPart::default()))
    }

    async fn describe(
        &self,
        request: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::JobView>, Status> {
        self.admit(None).await?;
        Ok(Response::new(v1::JobView {
            job_id: request.into_inner().job_id,
            ..Default::default()
        }))
    }

    async fn watch(
        &self,
        request: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        self.admit(None).await?;
        let (views, stream) = mpsc::channel(8);
        let _ = self.events.send(Event::Watch(Watched {
            request: request.into_inner(),
            views,
        }));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

/// A coordinator on a port of its own.
pub(super) struct Fake {
    pub(super) address: CoordinatorAddress,
    service: Service,
    events: mpsc::UnboundedReceiver<Event>,
    /// None once it is dead.
    runtime: Option<Runtime>,
}

impl Fake {
    pub(super) async fn leader() -> Self {
        Self::start(Mood::Leads, None).await
    }

    pub(super) async fn start(mood: Mood, key: Option<ClusterKey>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .spawn(TcpListener::bind("127.0.0.1:0"))
            .await
            .unwrap()
            .unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let (sender, events) = mpsc::unbounded_channel();
        let service = Service {
            mood: Arc::new(Mutex::new(mood)),
            refusals: Arc::default(),
            asked: Arc::default(),
            events: sender,
        };
        let server = tonic::transport::Server::builder()
            .layer(AccessLayer::new(key))
            .add_service(AgentsServer::new(service.clone()))
            .add_service(JobsServer::new(service.clone()));
        runtime.spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Self {
            address: address.into(),
            service,
            events,
            runtime: Some(runtime),
        }
    }

    pub(super) fn becomes(&self, mood: Mood) {
        *self.service.mood.lock().unwrap() = mood;
    }

    pub(super) fn refuse_next(&self, refusals: impl IntoIterator<Item = Status>) {
        self.service.refusals.lock().unwrap().extend(refusals);
    }

    /// How many calls came.
    pub(super) fn asked(&self) -> u32 {
        *self.service.asked.lock().unwrap()
    }

    /// Cuts all connections and closes the port.
    pub(super) fn die(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    async fn event(&mut self) -> Event {
        timeout(DEADLINE, self.events.recv())
            .await
            .expect("nothing happened")
            .unwrap()
    }

    pub(super) async fn session(&mut self) -> Seen {
        match self.event().await {
            Event::Session(seen) => seen,
            Event::Watch(_) | Event::Command(_) => panic!("no session"),
        }
    }

    pub(super) async fn watched(&mut self) -> Watched {
        match self.event().await {
            Event::Watch(watched) => watched,
            Event::Session(_) | Event::Command(_) => panic!("no watch"),
        }
    }

    pub(super) async fn command(&mut self) -> Origin {
        match self.event().await {
            Event::Command(origin) => origin,
            Event::Session(_) | Event::Watch(_) => panic!("no command"),
        }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.die();
    }
}

/// The coordinators in this order.
pub(super) fn endpoints<'a>(
    addresses: impl IntoIterator<Item = &'a CoordinatorAddress>,
) -> Endpoints {
    Endpoints::new(addresses.into_iter().cloned()).unwrap()
}

/// An address where nobody listens.
pub(super) async fn nobody() -> CoordinatorAddress {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().into()
}

pub(super) fn hello() -> v1::AgentHello {
    v1::AgentHello {
        node_id: "local".to_owned(),
        slots: 2,
        ..Default::default()
    }
}

pub(super) fn leaving(reason: &str) -> Report {
    Report::Leaving(v1::AgentLeaving {
        reason: reason.to_owned(),
    })
}

pub(super) fn welcome(term: u64) -> Directive {
    Directive::Welcome(v1::Welcome { term })
}
