//! Against a coordinator that answers over real connections and does what each test tells it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use convoy_proto::v1;
use convoy_proto::v1::agent_directive::Directive;
use convoy_proto::v1::agent_report::Report;
use convoy_proto::v1::agents_server::{Agents, AgentsServer};
use convoy_proto::v1::jobs_server::{Jobs, JobsServer};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::Stream;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Code, Request, Response, Status, Streaming};

use crate::{AgentSession, ClientError, CoordinatorAddress, JobsClient, SessionClosed};

/// Far beyond what any step takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

type Directives = Result<v1::AgentDirective, Status>;

/// One session as the coordinator sees it.
struct Seen {
    reports: Streaming<v1::AgentReport>,
    directives: mpsc::Sender<Directives>,
}

impl Seen {
    async fn report(&mut self) -> Option<Report> {
        let message = timeout(DEADLINE, self.reports.message())
            .await
            .unwrap()
            .ok()
            .flatten();
        message.map(|message| message.report.unwrap())
    }

    /// The next report that is no heartbeat.
    async fn spoken(&mut self) -> Option<Report> {
        loop {
            match self.report().await {
                Some(Report::Heartbeat(_)) => {}
                other => return other,
            }
        }
    }

    async fn direct(&self, directive: Directive) {
        let message = v1::AgentDirective {
            directive: Some(directive),
        };
        self.directives.send(Ok(message)).await.unwrap();
    }
}

#[derive(Clone)]
struct FakeCoordinator {
    sessions: mpsc::UnboundedSender<Seen>,
    /// Answers to come before calls succeed.
    refusals: Arc<Mutex<VecDeque<Status>>>,
    submissions: Arc<Mutex<Vec<(String, u64)>>>,
}

impl FakeCoordinator {
    fn refusal(&self) -> Result<(), Status> {
        self.refusals
            .lock()
            .unwrap()
            .pop_front()
            .map_or(Ok(()), Err)
    }

    fn refuse_next(&self, refusals: impl IntoIterator<Item = Status>) {
        self.refusals.lock().unwrap().extend(refusals);
    }
}

#[tonic::async_trait]
impl Agents for FakeCoordinator {
    type SessionStream = ReceiverStream<Directives>;

    async fn session(
        &self,
        request: Request<Streaming<v1::AgentReport>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        self.refusal()?;
        let (directives, stream) = mpsc::channel(8);
        let _ = self.sessions.send(Seen {
            reports: request.into_inner(),
            directives,
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

#[tonic::async_trait]
impl Jobs for FakeCoordinator {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<v1::JobView, Status>> + Send>>;

    async fn submit(
        &self,
        request: Request<v1::SubmitRequest>,
    ) -> Result<Response<v1::SubmitReply>, Status> {
        let request = request.into_inner();
        self.submissions
            .lock()
            .unwrap()
            .push((request.client_id, request.sequence));
        self.refusal()?;
        Ok(Response::new(v1::SubmitReply {
            job_id: request.spec_json,
        }))
    }

    async fn cancel(
        &self,
        _: Request<v1::CancelRequest>,
    ) -> Result<Response<v1::CancelReply>, Status> {
        self.refusal()?;
        Ok(Response::new(v1::CancelReply {}))
    }

    async fn describe(
        &self,
        request: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::JobView>, Status> {
        self.refusal()?;
        Ok(Response::new(v1::JobView {
            job_id: request.into_inner().job_id,
            ..Default::default()
        }))
    }

    async fn watch(
        &self,
        _: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        self.refusal()?;
        let views = [1, 2].map(|revision| {
            Ok(v1::JobView {
                revision,
                ..Default::default()
            })
        });
        Ok(Response::new(Box::pin(tokio_stream::iter(views))))
    }

    async fn list_jobs(
        &self,
        _: Request<v1::ListJobsRequest>,
    ) -> Result<Response<v1::ListJobsReply>, Status> {
        self.refusal()?;
        Ok(Response::new(v1::ListJobsReply::default()))
    }

    async fn list_nodes(
        &self,
        _: Request<v1::ListNodesRequest>,
    ) -> Result<Response<v1::ListNodesReply>, Status> {
        self.refusal()?;
        Ok(Response::new(v1::ListNodesReply::default()))
    }

    async fn job_spec(
        &self,
        _: Request<v1::JobSpecRequest>,
    ) -> Result<Response<v1::JobSpecReply>, Status> {
        self.refusal()?;
        Ok(Response::new(v1::JobSpecReply::default()))
    }

    async fn annotate(
        &self,
        _: Request<v1::AnnotateRequest>,
    ) -> Result<Response<v1::AnnotateReply>, Status> {
        self.refusal()?;
        Ok(Response::new(v1::AnnotateReply {}))
    }
}

async fn coordinator() -> (
    CoordinatorAddress,
    FakeCoordinator,
    mpsc::UnboundedReceiver<Seen>,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let (sessions, seen) = mpsc::unbounded_channel();
    let fake = FakeCoordinator {
        sessions,
        refusals: Arc::default(),
        submissions: Arc::default(),
    };
    let server = tonic::transport::Server::builder()
        .add_service(AgentsServer::new(fake.clone()))
        .add_service(JobsServer::new(fake.clone()));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    (address, fake, seen)
}

fn hello() -> v1::AgentHello {
    v1::AgentHello {
        node_id: "local".to_owned(),
        slots: 2,
        ..Default::default()
    }
}

fn leaving(reason: &str) -> Report {
    Report::Leaving(v1::AgentLeaving {
        reason: reason.to_owned(),
    })
}

async fn nobody() -> CoordinatorAddress {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap()
}

#[tokio::test]
async fn session_says_hello_first_and_keeps_the_order_of_reports() {
    let (address, _, mut seen) = coordinator().await;
    let mut session = AgentSession::open(&address, hello(), DEADLINE)
        .await
        .unwrap();
    session.send(leaving("one")).await.unwrap();
    session.reporter().send(leaving("two")).await.unwrap();
    let mut seen = seen.recv().await.unwrap();
    assert_eq!(seen.report().await, Some(Report::Hello(hello())));
    assert_eq!(seen.spoken().await, Some(leaving("one")));
    assert_eq!(seen.spoken().await, Some(leaving("two")));
    seen.direct(Directive::Welcome(v1::Welcome { term: 7 }))
        .await;
    assert_eq!(
        session.next_directive().await.unwrap(),
        Some(Directive::Welcome(v1::Welcome { term: 7 }))
    );
}

#[tokio::test]
async fn heartbeats_come_without_being_asked_for() {
    let (address, _, mut seen) = coordinator().await;
    let _session = AgentSession::open(&address, hello(), DEADLINE)
        .await
        .unwrap();
    let mut seen = seen.recv().await.unwrap();
    seen.report().await;
    for _ in 0..2 {
        assert_eq!(
            seen.report().await,
            Some(Report::Heartbeat(v1::Heartbeat {}))
        );
    }
}

#[tokio::test]
async fn closing_delivers_what_was_queued_and_refuses_the_rest() {
    let (address, _, mut seen) = coordinator().await;
    let session = AgentSession::open(&address, hello(), DEADLINE)
        .await
        .unwrap();
    let reporter = session.reporter();
    for number in 0..100 {
        session.send(leaving(&number.to_string())).await.unwrap();
    }
    let coordinator = tokio::spawn(async move {
        let mut seen = seen.recv().await.unwrap();
        let mut spoken = Vec::new();
        while let Some(report) = seen.spoken().await {
            spoken.push(report);
        }
        spoken
    });
    assert!(
        session.close(DEADLINE).await,
        "the coordinator ends its side once it has read ours"
    );
    let spoken = coordinator.await.unwrap();
    assert_eq!(spoken.len(), 101);
    assert_eq!(spoken.last(), Some(&leaving("99")));
    assert_eq!(reporter.send(leaving("late")).await, Err(SessionClosed));
    assert_eq!(reporter.try_send(leaving("late")), Err(SessionClosed));
}

#[tokio::test]
async fn dropped_session_is_noticed_by_the_coordinator() {
    let (address, _, mut seen) = coordinator().await;
    let session = AgentSession::open(&address, hello(), DEADLINE)
        .await
        .unwrap();
    let reporter = session.reporter();
    let mut seen = seen.recv().await.unwrap();
    seen.report().await;
    drop(session);
    assert_eq!(seen.spoken().await, None);
    timeout(DEADLINE, reporter.closed()).await.unwrap();
}

#[tokio::test]
async fn end_by_the_coordinator_reaches_the_reporter() {
    let (address, _, mut seen) = coordinator().await;
    let mut session = AgentSession::open(&address, hello(), DEADLINE)
        .await
        .unwrap();
    drop(seen.recv().await.unwrap());
    assert!(matches!(session.next_directive().await, Ok(None)));
    timeout(DEADLINE, session.reporter().closed())
        .await
        .unwrap();
    assert_eq!(session.send(leaving("late")).await, Err(SessionClosed));
}

#[tokio::test]
async fn directive_of_unknown_kind_is_refused() {
    let (address, _, mut seen) = coordinator().await;
    let mut session = AgentSession::open(&address, hello(), DEADLINE)
        .await
        .unwrap();
    let seen = seen.recv().await.unwrap();
    seen.directives
        .send(Ok(v1::AgentDirective { directive: None }))
        .await
        .unwrap();
    let error = session.next_directive().await.unwrap_err();
    assert!(matches!(error, ClientError::Malformed { .. }), "{error}");
}

#[tokio::test]
async fn refusal_ends_the_tries_and_tells_the_reason() {
    let (address, fake, _seen) = coordinator().await;
    fake.refuse_next([Status::failed_precondition(
        "protocol version 1 is spoken here, not 9",
    )]);
    let error = AgentSession::open(&address, hello(), DEADLINE)
        .await
        .unwrap_err();
    assert!(!error.is_connection_loss());
    assert_eq!(
        error.to_string(),
        format!(
            "the coordinator at {address} refused to hold an agent session: protocol version 1 is spoken here, not 9"
        )
    );
}

#[tokio::test]
async fn session_is_tried_again_until_the_coordinator_is_ready() {
    let (address, fake, mut seen) = coordinator().await;
    fake.refuse_next([
        Status::unavailable("starting"),
        Status::unavailable("starting"),
    ]);
    let _session = AgentSession::open(&address, hello(), DEADLINE)
        .await
        .unwrap();
    assert_eq!(
        seen.recv().await.unwrap().report().await,
        Some(Report::Hello(hello()))
    );
}

#[tokio::test]
async fn unreachable_coordinator_is_named_with_what_was_tried() {
    let address = nobody().await;
    let error = JobsClient::connect(&address, Duration::from_millis(100))
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, ClientError::Unreachable { .. }));
    assert!(
        text.starts_with(&format!("no coordinator could be reached at {address} (")),
        "{text}"
    );
    assert!(
        text.contains("within 100 ms; the last: ") && text.contains("onnection refused"),
        "{text}"
    );
}

#[tokio::test]
async fn coordinator_that_accepts_and_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: CoordinatorAddress = format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let error = AgentSession::open(&address, hello(), Duration::from_millis(100))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn repeated_submission_keeps_its_number_and_the_next_gets_another() {
    let (address, fake, _seen) = coordinator().await;
    let mut jobs = JobsClient::connect(&address, DEADLINE).await.unwrap();
    fake.refuse_next([Status::unavailable("the leader changed")]);
    assert_eq!(
        jobs.submit("first-1".to_owned(), 2).await.unwrap().as_str(),
        "first-1"
    );
    assert_eq!(
        jobs.submit("second-2".to_owned(), 2)
            .await
            .unwrap()
            .as_str(),
        "second-2"
    );
    let submissions = fake.submissions.lock().unwrap().clone();
    let numbers: Vec<_> = submissions.iter().map(|(_, sequence)| *sequence).collect();
    assert_eq!(numbers, [1, 1, 2]);
    assert!(
        submissions
            .iter()
            .all(|(client, _)| *client == submissions[0].0)
    );
}

#[tokio::test]
async fn answer_that_is_no_job_id_is_refused() {
    let (address, _, _seen) = coordinator().await;
    let mut jobs = JobsClient::connect(&address, DEADLINE).await.unwrap();
    let error = jobs.submit("../elsewhere".to_owned(), 2).await.unwrap_err();
    assert!(matches!(error, ClientError::Malformed { .. }), "{error}");
}

#[tokio::test]
async fn job_calls_reach_the_coordinator_and_bring_its_answers() {
    let (address, fake, _seen) = coordinator().await;
    let mut jobs = JobsClient::connect(&address, DEADLINE).await.unwrap();
    let job = jobs.submit("toy-1".to_owned(), 1).await.unwrap();
    assert_eq!(jobs.describe(&job).await.unwrap().job_id, "toy-1");
    let mut watch = jobs.watch(&job).await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap().revision, 1);
    assert_eq!(watch.next().await.unwrap().unwrap().revision, 2);
    assert!(watch.next().await.unwrap().is_none());
    fake.refuse_next([Status::not_found("there is no job toy-1")]);
    let error = jobs.cancel(&job, "Ctrl-C").await.unwrap_err();
    assert!(matches!(
        error,
        ClientError::Refused {
            code: Code::NotFound,
            ..
        }
    ));
    assert!(
        error
            .to_string()
            .ends_with("refused to cancel the job: there is no job toy-1"),
        "{error}"
    );
}

#[test]
fn calls_can_be_made_on_any_thread_of_the_runtime() {
    fn movable<T: Send>(_: impl Fn(JobsClient, CoordinatorAddress) -> T) {}
    movable(|_, address| async move { AgentSession::open(&address, hello(), DEADLINE).await });
    movable(|_, address| async move { JobsClient::connect(&address, DEADLINE).await });
    movable(|mut jobs, _| async move {
        let job = jobs.submit(String::new(), 1).await?;
        jobs.watch(&job).await?.next().await
    });
}
