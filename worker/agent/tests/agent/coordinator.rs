//! The coordinator's side of agent sessions, told by each test what to say.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use convoy_access::ClusterKey;
use convoy_access::grpc::AccessLayer;
use convoy_proto::v1;
use convoy_proto::v1::agent_directive::Directive;
use convoy_proto::v1::agent_report::Report;
use convoy_proto::v1::agents_server::{Agents, AgentsServer};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// Far beyond what any step takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A coordinator on a port of its own.
pub(crate) struct Coordinator {
    pub(crate) url: String,
    sessions: mpsc::UnboundedReceiver<Session>,
    refusal: Arc<Mutex<Option<Status>>>,
    server: JoinHandle<()>,
}

/// One session; dropping it ends it.
pub(crate) struct Session {
    pub(crate) hello: v1::AgentHello,
    reports: Streaming<v1::AgentReport>,
    directives: mpsc::Sender<Result<v1::AgentDirective, Status>>,
}

struct Service {
    sessions: mpsc::UnboundedSender<Session>,
    refusal: Arc<Mutex<Option<Status>>>,
}

#[tonic::async_trait]
impl Agents for Service {
    type SessionStream = ReceiverStream<Result<v1::AgentDirective, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::AgentReport>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        if let Some(refusal) = self.refusal.lock().unwrap().clone() {
            return Err(refusal);
        }
        let mut reports = request.into_inner();
        let first = reports.message().await?.and_then(|message| message.report);
        let Some(Report::Hello(hello)) = first else {
            panic!("{first:?} instead of a hello")
        };
        let (directives, stream) = mpsc::channel(8);
        let session = Session {
            hello,
            reports,
            directives,
        };
        session
            .say(Directive::Welcome(v1::Welcome { term: 1 }))
            .await;
        // Fails once the test has ended.
        let _ = self.sessions.send(session);
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

impl Coordinator {
    pub(crate) async fn start() -> Self {
        Self::start_with_key(None).await
    }

    pub(crate) async fn start_with_key(key: Option<ClusterKey>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, sessions) = mpsc::unbounded_channel();
        let refusal = Arc::default();
        let service = Service {
            sessions: sender,
            refusal: Arc::clone(&refusal),
        };
        let server = tonic::transport::Server::builder()
            .layer(AccessLayer::new(key))
            .add_service(AgentsServer::new(service));
        let server = tokio::spawn(async {
            server
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .unwrap()
        });
        Self {
            url,
            sessions,
            refusal,
            server,
        }
    }

    pub(crate) fn refuse_all(&self, refusal: Status) {
        *self.refusal.lock().unwrap() = Some(refusal);
    }

    pub(crate) fn accept_all(&self) {
        *self.refusal.lock().unwrap() = None;
    }

    /// The next session that an agent opens.
    pub(crate) async fn session(&mut self) -> Session {
        timeout(DEADLINE, self.sessions.recv())
            .await
            .expect("no agent came")
            .unwrap()
    }

    /// Closes the port.
    pub(crate) fn vanish(self) {
        self.server.abort();
    }
}

impl Session {
    pub(crate) async fn say(&self, directive: Directive) {
        let message = v1::AgentDirective {
            directive: Some(directive),
        };
        self.directives.send(Ok(message)).await.unwrap();
    }

    pub(crate) async fn desire(&self, workers: Vec<v1::Assignment>) {
        self.say(Directive::Desired(v1::DesiredWorkers { workers }))
            .await;
    }

    /// The next report that is no heartbeat; `None` at the end of the session.
    pub(crate) async fn report(&mut self) -> Option<Report> {
        loop {
            let message = timeout(DEADLINE, self.reports.message())
                .await
                .expect("no report came");
            match message.ok().flatten()?.report {
                Some(Report::Heartbeat(_)) => {}
                report => return Some(report.expect("a report of a known kind")),
            }
        }
    }

    pub(crate) async fn started(&mut self) -> v1::WorkerStarted {
        match self.report().await {
            Some(Report::WorkerStarted(started)) => started,
            other => panic!("{other:?} instead of a start"),
        }
    }

    pub(crate) async fn exited(&mut self) -> v1::WorkerExited {
        match self.report().await {
            Some(Report::WorkerExited(exited)) => exited,
            other => panic!("{other:?} instead of an exit"),
        }
    }

    /// Asks for part of a log, and waits for the answer.
    pub(crate) async fn read_log(&mut self, what: v1::ReadLogRequest) -> v1::log_read::Outcome {
        let request = 77;
        let what = Some(what);
        self.say(Directive::ReadLog(v1::ReadLog { request, what }))
            .await;
        match self.report().await {
            Some(Report::LogRead(read)) => {
                assert_eq!(read.request, request);
                read.outcome.expect("an outcome")
            }
            other => panic!("{other:?} instead of part of a log"),
        }
    }

    pub(crate) async fn leaving(&mut self) -> String {
        match self.report().await {
            Some(Report::Leaving(leaving)) => leaving.reason,
            other => panic!("{other:?} instead of leaving"),
        }
    }
}
