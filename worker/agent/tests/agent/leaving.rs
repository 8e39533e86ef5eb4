//! However an agent ends, its workers end with it.

use std::path::Path;

use convoy_process::Signal;
use convoy_proto::v1;
use convoy_proto::v1::agent_directive::Directive;
use tonic::Status;

use crate::coordinator::{Coordinator, Session};
use crate::processes::{Agent, WAIT, assignment, fake_worker, gone, parent_of_an_agent};

/// Starts two workers that wait, and returns their pids.
async fn two_workers(session: &mut Session) -> [u32; 2] {
    session
        .desire(vec![assignment(0, 1, WAIT), assignment(1, 2, WAIT)])
        .await;
    [session.started().await.pid, session.started().await.pid]
}

/// Expects the agent to leave for `reason`, its workers to end in order, and the session to be closed.
async fn expect_orderly_end(session: &mut Session, pids: [u32; 2], reason: &str) {
    assert_eq!(session.leaving().await, reason);
    let mut ended = [session.exited().await, session.exited().await].map(|exited| {
        assert_eq!(exited.how, "killed by signal 15 (SIGTERM)");
        exited.pid
    });
    ended.sort_unstable();
    let mut pids = pids;
    pids.sort_unstable();
    assert_eq!(ended, pids);
    assert_eq!(session.report().await, None);
}

#[tokio::test]
async fn signals_end_the_agent_in_order() {
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")] {
        let mut coordinator = Coordinator::start().await;
        let agent = Agent::start(&coordinator);
        let mut session = coordinator.session().await;
        let pids = two_workers(&mut session).await;
        agent.signal(signal);
        expect_orderly_end(&mut session, pids, &format!("the agent received {name}")).await;
        drop(session);
        assert!(agent.exit().await.clean, "{}", agent.log());
    }
}

#[tokio::test]
async fn coordinator_can_send_the_agent_away() {
    let mut coordinator = Coordinator::start().await;
    let agent = Agent::start(&coordinator);
    let mut session = coordinator.session().await;
    let pids = two_workers(&mut session).await;
    session
        .say(Directive::Shutdown(v1::Shutdown {
            reason: "the job has ended".to_owned(),
        }))
        .await;
    expect_orderly_end(&mut session, pids, "the job has ended").await;
    drop(session);
    assert!(agent.exit().await.clean, "{}", agent.log());
}

#[tokio::test]
async fn killed_agent_takes_its_workers_along() {
    let mut coordinator = Coordinator::start().await;
    let agent = Agent::start(&coordinator);
    let mut session = coordinator.session().await;
    let pids = two_workers(&mut session).await;
    agent.signal(Signal::KILL);
    for pid in pids {
        gone(pid).await;
    }
}

#[tokio::test]
async fn agent_whose_parent_is_killed_ends_in_order() {
    let mut coordinator = Coordinator::start().await;
    let folder = tempfile::tempdir().unwrap();
    let parent = parent_of_an_agent(&coordinator, folder.path());
    let mut session = coordinator.session().await;
    let pids = two_workers(&mut session).await;
    parent.signal(Signal::KILL).unwrap();
    expect_orderly_end(&mut session, pids, "the agent received SIGTERM").await;
}

#[tokio::test]
async fn agent_leaves_when_the_coordinator_is_gone_for_good() {
    let mut coordinator = Coordinator::start().await;
    let worker = fake_worker();
    let patience = [
        "--coordinator-timeout-ms",
        "200",
        "--worker-binary",
        worker.to_str().unwrap(),
    ];
    let agent = Agent::start_with(&coordinator, &patience);
    let mut session = coordinator.session().await;
    let pids = two_workers(&mut session).await;
    drop(session);
    let url = coordinator.url.clone();
    coordinator.vanish();
    assert_eq!(agent.exit().await.how, "exit code 1");
    assert!(
        agent
            .log()
            .contains(&format!("no coordinator could be reached at {url}")),
        "{}",
        agent.log()
    );
    for pid in pids {
        gone(pid).await;
    }
}

#[tokio::test]
async fn refused_agent_says_why_and_ends() {
    let coordinator = Coordinator::start().await;
    coordinator.refuse_all(Status::failed_precondition(
        "protocol version 2 is spoken here, not 1",
    ));
    let agent = Agent::start(&coordinator);
    assert_eq!(agent.exit().await.how, "exit code 1");
    assert!(
        agent
            .log()
            .contains("protocol version 2 is spoken here, not 1"),
        "{}",
        agent.log()
    );
}

#[tokio::test]
async fn work_folder_that_can_not_be_made_is_named() {
    let coordinator = Coordinator::start().await;
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent::start_in(folder, Path::new("/proc/convoy"), &coordinator, &[]);
    assert_eq!(agent.exit().await.how, "exit code 1");
    assert!(agent.log().contains("/proc/convoy"), "{}", agent.log());
}
