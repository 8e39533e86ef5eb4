//! Logs, from the agent that holds them to whoever asks.

use convoy_client::{AgentSession, JobsClient, LogFrom};
use convoy_common::ids::WorkerRef;
use convoy_common::limits::MAX_LOG_PART_BYTES;
use convoy_proto::v1;
use convoy_proto::v1::agent_directive::Directive as ToAgent;
use convoy_proto::v1::agent_report::Report as FromAgent;
use convoy_proto::v1::log_read::Outcome;
use convoy_wire::parse_worker_ref;
use tokio::time::timeout;

use super::queue::{agent, ended};
use super::{PATIENCE, SPEC, desired, finished_view, start};

/// What the agent is asked to read next.
async fn asked(agent: &mut AgentSession) -> v1::ReadLog {
    loop {
        let directive = timeout(PATIENCE, agent.next_directive()).await.unwrap();
        if let ToAgent::ReadLog(read) = directive.unwrap().unwrap() {
            return read;
        }
    }
}

async fn answers(agent: &AgentSession, request: u64, outcome: Outcome) {
    let read = v1::LogRead {
        request,
        outcome: Some(outcome),
    };
    agent.send(FromAgent::LogRead(read)).await.unwrap();
}

fn part(text: &str) -> Outcome {
    Outcome::Part(v1::LogPart {
        offset: 0,
        bytes: text.as_bytes().to_vec(),
        length: text.len() as u64,
        is_complete: false,
    })
}

/// A job of one worker, placed on the agent.
async fn placed(jobs: &JobsClient, agent: &mut AgentSession) -> (v1::WorkerRef, WorkerRef) {
    jobs.submit(SPEC.to_owned(), 1).await.unwrap();
    let on_wire = desired(agent, 1).await.remove(0);
    let worker = parse_worker_ref(Some(&on_wire)).unwrap();
    (on_wire, worker)
}

/// What a read of the log answers while the agent does as `doing` says.
async fn read(
    jobs: &JobsClient,
    worker: &WorkerRef,
    from: LogFrom,
    doing: impl Future<Output = ()>,
) -> Result<v1::LogPart, String> {
    let (read, ()) = tokio::join!(jobs.read_log(worker, from), doing);
    read.map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn log_comes_from_the_agent_of_the_worker_and_is_whole_once_that_has_ended() {
    let (coordinator, address, _folder) = start().await;
    let mut agent = agent(&address, "n1", 1).await;
    let jobs = JobsClient::connect(&address, PATIENCE).await.unwrap();
    let (on_wire, worker) = placed(&jobs, &mut agent).await;
    let answered = read(&jobs, &worker, LogFrom::LastLines(5), async {
        let read = asked(&mut agent).await;
        let what = read.what.unwrap();
        assert_eq!(what.worker.as_ref(), Some(&on_wire));
        assert_eq!(what.from, Some(v1::read_log_request::From::LastLines(5)));
        // What nobody asked for is not used.
        answers(&agent, read.request + 1, part("another")).await;
        answers(&agent, read.request, part("one\n")).await;
    });
    let answered = answered.await.unwrap();
    assert_eq!(
        (answered.bytes.as_slice(), answered.is_complete),
        (b"one\n".as_slice(), false)
    );

    ended(&agent, &on_wire).await;
    // What the agent says and what is asked here come by different ways.
    finished_view(&address, &worker.job).await;
    let answered = read(&jobs, &worker, LogFrom::Offset(4), async {
        let read = asked(&mut agent).await;
        answers(&agent, read.request, part("")).await;
    });
    assert!(answered.await.unwrap().is_complete);
    coordinator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_that_has_no_log_or_is_away_is_named_with_the_reason() {
    let (coordinator, address, _folder) = start().await;
    let mut agent = agent(&address, "n1", 1).await;
    let jobs = JobsClient::connect(&address, PATIENCE).await.unwrap();
    let (_, worker) = placed(&jobs, &mut agent).await;
    let answered = read(&jobs, &worker, LogFrom::Offset(0), async {
        let read = asked(&mut agent).await;
        answers(
            &agent,
            read.request,
            Outcome::Failure("it was removed".to_owned()),
        )
        .await;
    });
    let refused = answered.await.unwrap_err();
    let words =
        "node n1 has no log of worker 0 of job talk-1 (incarnation 1) to show: it was removed";
    assert!(refused.ends_with(words), "{refused}");

    // It goes while it is asked.
    let answered = read(&jobs, &worker, LogFrom::Offset(0), async {
        asked(&mut agent).await;
        drop(agent);
    });
    let refused = answered.await.unwrap_err();
    let words = "node n1 can't be reached, which has the log of worker 0 of job talk-1";
    assert!(refused.contains(words), "{refused}");

    let stranger = WorkerRef {
        worker: convoy_common::ids::WorkerId(7),
        ..worker
    };
    let refused = jobs
        .read_log(&stranger, LogFrom::Offset(0))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("worker 7"), "{refused}");
    coordinator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_that_sends_more_than_was_asked_for_is_not_served() {
    let (coordinator, address, _folder) = start().await;
    let mut agent = agent(&address, "n1", 1).await;
    let jobs = JobsClient::connect(&address, PATIENCE).await.unwrap();
    let (_, worker) = placed(&jobs, &mut agent).await;
    let answered = read(&jobs, &worker, LogFrom::Offset(0), async {
        let read = asked(&mut agent).await;
        let flood = part(&"x".repeat(MAX_LOG_PART_BYTES + 1));
        answers(&agent, read.request, flood).await;
    });
    let refused = answered.await.unwrap_err();
    assert!(refused.contains("node n1 can't be reached"), "{refused}");
    coordinator.shutdown().await;
}
