//! Logs that others want to see, and specs whose paths the node completes.

use std::fs;

use convoy_common::spec::JobSpec;
use convoy_proto::v1;
use convoy_proto::v1::log_read::Outcome;
use convoy_proto::v1::read_log_request::From;

use crate::coordinator::Coordinator;
use crate::processes::{Agent, assignment, worker};

fn wanted(worker: v1::WorkerRef, from: From) -> v1::ReadLogRequest {
    v1::ReadLogRequest {
        worker: Some(worker),
        from: Some(from),
    }
}

fn text(outcome: Outcome) -> String {
    match outcome {
        Outcome::Part(part) => String::from_utf8(part.bytes).unwrap(),
        Outcome::Failure(why) => panic!("{why}"),
    }
}

fn failure(outcome: Outcome) -> String {
    match outcome {
        Outcome::Part(part) => panic!("{part:?}"),
        Outcome::Failure(why) => why,
    }
}

#[tokio::test]
async fn log_of_a_worker_can_be_read_also_after_its_end_and_after_the_agents() {
    let mut coordinator = Coordinator::start().await;
    let agent = Agent::start(&coordinator);
    let mut session = coordinator.session().await;
    session
        .desire(vec![assignment(0, 1, "echo one; echo two")])
        .await;
    session.started().await;
    session.exited().await;
    let last = wanted(worker(0, 1), From::LastLines(2));
    assert_eq!(text(session.read_log(last.clone()).await), "one\ntwo\n");
    let rest = wanted(worker(0, 1), From::Offset(1 << 40));
    assert_eq!(text(session.read_log(rest).await), "");
    session.desire(vec![]).await;

    let folder = agent.folder.path().join("work");
    let moved = tempfile::tempdir().unwrap();
    fs::rename(&folder, moved.path().join("work")).unwrap();
    drop((session, agent));
    let work = moved.path().join("work");
    let _agent = Agent::start_in(tempfile::tempdir().unwrap(), &work, &coordinator, &[]);
    let mut session = coordinator.session().await;
    assert_eq!(text(session.read_log(last).await), "one\ntwo\n");
}

#[tokio::test]
async fn only_logs_of_workers_can_be_read() {
    let mut coordinator = Coordinator::start().await;
    let agent = Agent::start(&coordinator);
    let mut session = coordinator.session().await;
    let never = wanted(worker(0, 1), From::Offset(0));
    let why = failure(session.read_log(never).await);
    let folder = agent.folder.path().join("work/toy-1/logs");
    assert!(why.contains(folder.to_str().unwrap()), "{why}");
    let outside = v1::WorkerRef {
        job_id: "../../secrets".to_owned(),
        ..worker(0, 1)
    };
    let why = failure(session.read_log(wanted(outside, From::Offset(0))).await);
    assert!(why.contains("job id \"../../secrets\" must be"), "{why}");
}

#[tokio::test]
async fn relative_paths_of_a_spec_start_from_the_work_folder() {
    let mut coordinator = Coordinator::start().await;
    let agent = Agent::start(&coordinator);
    let mut session = coordinator.session().await;
    let mut assigned = assignment(0, 1, "exit 0");
    assigned.spec_json = assigned.spec_json.replace("\"/data/", "\"data/");
    session.desire(vec![assigned]).await;
    session.started().await;
    session.exited().await;
    let work = agent.folder.path().join("work");
    let written = fs::read_to_string(work.join("toy-1/spec.json")).unwrap();
    let spec = JobSpec::from_json(&written).unwrap();
    assert_eq!(spec.checkpoints.folder, work.join("data/checkpoints"));
    let images = format!("\"{}\"", work.join("data/a").display());
    assert!(written.contains(&images), "{images} is not in {written}");
}
