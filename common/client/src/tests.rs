//! Against one coordinator: sessions and calls. Several coordinators stand in the modules below.

mod access;
mod fake;
mod leaders;
mod links;
mod watches;

use std::time::Duration;

use convoy_proto::v1;
use convoy_proto::v1::agent_report::Report;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::{AgentSession, ClientError, CoordinatorAddress, Endpoints, JobsClient, SessionClosed};

use fake::{DEADLINE, Fake, endpoints, hello, leaving, nobody, welcome};

/// A leader, and the list of it alone.
async fn coordinator() -> (Endpoints, Fake) {
    let fake = Fake::leader().await;
    (endpoints([&fake.address]), fake)
}

async fn session(endpoints: &Endpoints) -> AgentSession {
    AgentSession::open(endpoints, hello(), DEADLINE)
        .await
        .unwrap()
}

#[tokio::test]
async fn session_says_hello_first_and_keeps_the_order_of_reports() {
    let (endpoints, mut fake) = coordinator().await;
    let mut session = session(&endpoints).await;
    session.send(leaving("one")).await.unwrap();
    session.reporter().send(leaving("two")).await.unwrap();
    let mut seen = fake.session().await;
    assert_eq!(seen.report().await, Some(Report::Hello(hello())));
    assert_eq!(seen.spoken().await, Some(leaving("one")));
    assert_eq!(seen.spoken().await, Some(leaving("two")));
    seen.direct(welcome(7)).await;
    assert_eq!(session.next_directive().await.unwrap(), Some(welcome(7)));
}

#[tokio::test]
async fn heartbeats_come_without_being_asked_for() {
    let (endpoints, mut fake) = coordinator().await;
    let _session = session(&endpoints).await;
    let mut seen = fake.session().await;
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
    let (endpoints, mut fake) = coordinator().await;
    let session = session(&endpoints).await;
    let reporter = session.reporter();
    for number in 0..100 {
        session.send(leaving(&number.to_string())).await.unwrap();
    }
    let coordinator = tokio::spawn(async move {
        let mut seen = fake.session().await;
        let mut spoken = Vec::new();
        while let Some(report) = seen.spoken().await {
            spoken.push(report);
        }
        // The end of its runtime would cut the connection.
        (spoken, fake)
    });
    assert!(
        session.close(DEADLINE).await,
        "the coordinator ends its side once it has read ours"
    );
    let (spoken, _fake) = coordinator.await.unwrap();
    assert_eq!(spoken.len(), 101);
    assert_eq!(spoken.last(), Some(&leaving("99")));
    assert_eq!(reporter.send(leaving("late")).await, Err(SessionClosed));
    assert_eq!(reporter.try_send(leaving("late")), Err(SessionClosed));
}

#[tokio::test]
async fn dropped_session_is_noticed_by_the_coordinator() {
    let (endpoints, mut fake) = coordinator().await;
    let session = session(&endpoints).await;
    let reporter = session.reporter();
    let mut seen = fake.session().await;
    seen.report().await;
    drop(session);
    assert_eq!(seen.spoken().await, None);
    timeout(DEADLINE, reporter.closed()).await.unwrap();
}

#[tokio::test]
async fn end_by_the_coordinator_reaches_the_reporter() {
    let (endpoints, mut fake) = coordinator().await;
    let mut session = session(&endpoints).await;
    drop(fake.session().await);
    assert!(matches!(session.next_directive().await, Ok(None)));
    timeout(DEADLINE, session.reporter().closed())
        .await
        .unwrap();
    assert_eq!(session.send(leaving("late")).await, Err(SessionClosed));
}

#[tokio::test]
async fn directive_of_unknown_kind_is_refused() {
    let (endpoints, mut fake) = coordinator().await;
    let mut session = session(&endpoints).await;
    let seen = fake.session().await;
    seen.directives
        .send(Ok(v1::AgentDirective { directive: None }))
        .await
        .unwrap();
    let error = session.next_directive().await.unwrap_err();
    assert!(matches!(error, ClientError::Malformed { .. }), "{error}");
}

#[tokio::test]
async fn refusal_ends_the_tries_and_tells_the_reason() {
    let (endpoints, fake) = coordinator().await;
    fake.refuse_next([Status::failed_precondition(
        "protocol version 1 is spoken here, not 9",
    )]);
    let error = AgentSession::open(&endpoints, hello(), DEADLINE)
        .await
        .unwrap_err();
    assert!(!error.is_connection_loss());
    assert_eq!(
        error.to_string(),
        format!(
            "the coordinator at {endpoints} refused to hold an agent session: protocol version 1 is spoken here, not 9"
        )
    );
}

#[tokio::test]
async fn session_is_tried_again_until_the_coordinator_is_ready() {
    let (endpoints, mut fake) = coordinator().await;
    fake.refuse_next([
        Status::unavailable("starting"),
        Status::unavailable("starting"),
    ]);
    let _session = session(&endpoints).await;
    assert_eq!(
        fake.session().await.report().await,
        Some(Report::Hello(hello()))
    );
}

#[tokio::test]
async fn unreachable_coordinator_is_named_with_what_was_tried() {
    let address = nobody().await;
    let endpoints = Endpoints::from(address.clone());
    let error = JobsClient::connect(&endpoints, Duration::from_millis(100))
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, ClientError::Unreachable(_)));
    assert!(
        text.starts_with(&format!(
            "no coordinator could be reached at {address} to connect, tried for 100 ms: {address}: "
        )),
        "{text}"
    );
    assert!(
        text.contains("onnection refused") && text.ends_with("times)"),
        "{text}"
    );
}

#[tokio::test]
async fn coordinator_that_accepts_and_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: CoordinatorAddress = listener.local_addr().unwrap().into();
    let error = AgentSession::open(&address.into(), hello(), Duration::from_millis(100))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Unreachable(_)), "{error}");
    assert!(
        error.to_string().ends_with("no answer in time (once)"),
        "{error}"
    );
}

#[tokio::test]
async fn repeated_command_keeps_its_number_and_the_next_gets_another() {
    let (endpoints, mut fake) = coordinator().await;
    let jobs = JobsClient::connect(&endpoints, DEADLINE).await.unwrap();
    fake.refuse_next([Status::unavailable("the leader changed")]);
    let first = jobs.submit("first-1".to_owned(), 2).await.unwrap();
    assert_eq!(first.as_str(), "first-1");
    // A clone is the same client.
    jobs.clone().cancel(&first, "Ctrl-C").await.unwrap();
    let second = jobs.submit("second-2".to_owned(), 2).await.unwrap();
    assert_eq!(second.as_str(), "second-2");
    let mut numbers = Vec::new();
    let mut clients = Vec::new();
    for _ in 0..4 {
        let origin = fake.command().await;
        numbers.push(origin.sequence);
        clients.push(origin.client_id);
    }
    assert_eq!(numbers, [1, 1, 2, 3]);
    clients.dedup();
    assert_eq!(clients.len(), 1);
}

#[tokio::test]
async fn answer_that_is_no_job_id_is_refused() {
    let (endpoints, _fake) = coordinator().await;
    let jobs = JobsClient::connect(&endpoints, DEADLINE).await.unwrap();
    let error = jobs.submit("../elsewhere".to_owned(), 2).await.unwrap_err();
    assert!(matches!(error, ClientError::Malformed { .. }), "{error}");
}

#[tokio::test]
async fn job_calls_reach_the_coordinator_and_bring_its_answers() {
    let (endpoints, fake) = coordinator().await;
    let jobs = JobsClient::connect(&endpoints, DEADLINE).await.unwrap();
    let job = jobs.submit("toy-1".to_owned(), 1).await.unwrap();
    assert_eq!(jobs.describe(&job).await.unwrap().job_id, "toy-1");
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
    fn movable<T: Send>(_: impl Fn(JobsClient, Endpoints) -> T) {}
    movable(|_, list| async move { AgentSession::open(&list, hello(), DEADLINE).await });
    movable(|_, list| async move { JobsClient::connect(&list, DEADLINE).await });
    movable(|jobs, _| async move {
        let job = jobs.submit(String::new(), 1).await?;
        jobs.watch(&job).await?.next().await
    });
}
