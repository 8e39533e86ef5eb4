//! Workers are started, watched and ended.

use std::fs;

use convoy_common::spec::JobSpec;
use convoy_proto::PROTOCOL_VERSION;
use convoy_proto::v1::agent_report::Report;

use crate::coordinator::Coordinator;
use crate::processes::{
    Agent, WAIT, assignment, assignment_with, eventually, fake_worker, gone, worker,
};

#[tokio::test]
async fn agent_registers_its_slots() {
    let mut coordinator = Coordinator::start().await;
    let _agent = Agent::start(&coordinator);
    let hello = coordinator.session().await.hello;
    assert_eq!((hello.protocol_version, hello.slots), (PROTOCOL_VERSION, 2));
    assert_eq!(
        (hello.node_id.as_str(), hello.advertised_host.as_str()),
        ("local", "127.0.0.1")
    );
    assert_ne!(hello.incarnation, 0);
}

#[tokio::test]
async fn worker_gets_its_arguments_environment_and_spec() {
    let mut coordinator = Coordinator::start().await;
    let agent = Agent::start(&coordinator);
    let mut session = coordinator.session().await;
    let work = r#"echo "threads $OMP_NUM_THREADS $OMP_WAIT_POLICY, $GREETING""#;
    let assigned = assignment_with(1, 7, &[("WORK", work), ("GREETING", "hello")]);
    session.desire(vec![assigned.clone()]).await;

    let started = session.started().await;
    assert_eq!(started.worker, Some(worker(1, 7)));
    let exited = session.exited().await;
    assert_eq!(
        (exited.how.as_str(), exited.clean, exited.pid),
        ("exit code 0", true, started.pid)
    );

    let folder = agent.folder.path().join("work/toy-1");
    assert_eq!(
        started.log_path,
        folder.join("logs/worker-1.log").to_str().unwrap()
    );
    assert_eq!(exited.log_path, started.log_path);
    let spec = folder.join("spec.json");
    let arguments = format!(
        "arguments: --coordinator {} --job toy-1 --worker-id 1 --incarnation 7 --spec-file {} \
         --advertised-host 127.0.0.1 --parent-pid {}",
        coordinator.url,
        spec.display(),
        agent.child.pid()
    );
    assert_eq!(
        exited.last_lines,
        [arguments.as_str(), "threads 3 passive, hello"]
    );
    let read = JobSpec::from_json(&fs::read_to_string(spec).unwrap()).unwrap();
    assert_eq!(read, JobSpec::from_json(&assigned.spec_json).unwrap());
}

#[tokio::test]
async fn exit_code_and_last_words_are_reported() {
    let mut coordinator = Coordinator::start().await;
    let _agent = Agent::start(&coordinator);
    let mut session = coordinator.session().await;
    session
        .desire(vec![assignment(0, 1, "echo the disk is full >&2; exit 3")])
        .await;
    session.started().await;
    let exited = session.exited().await;
    assert_eq!((exited.how.as_str(), exited.clean), ("exit code 3", false));
    assert_eq!(exited.last_lines.last().unwrap(), "the disk is full");
}

#[tokio::test]
async fn killed_worker_is_reported_with_its_signal() {
    let mut coordinator = Coordinator::start().await;
    let _agent = Agent::start(&coordinator);
    let mut session = coordinator.session().await;
    session
        .desire(vec![assignment(0, 1, "echo step 7; kill -KILL $$")])
        .await;
    session.started().await;
    let exited = session.exited().await;
    assert_eq!(
        (exited.how.as_str(), exited.clean),
        ("killed by signal 9 (SIGKILL)", false)
    );
    assert_eq!(exited.last_lines.last().unwrap(), "step 7");
}

#[tokio::test]
async fn worker_that_is_no_longer_named_is_ended_and_its_neighbour_is_not() {
    let mut coordinator = Coordinator::start().await;
    let _agent = Agent::start(&coordinator);
    let mut session = coordinator.session().await;
    let both = vec![assignment(0, 1, WAIT), assignment(1, 2, WAIT)];
    session.desire(both.clone()).await;
    session.started().await;
    session.started().await;
    session.desire(both[1..].to_vec()).await;
    let first = session.exited().await;
    assert_eq!(
        (first.worker, first.how.as_str()),
        (Some(worker(0, 1)), "killed by signal 15 (SIGTERM)")
    );
    session.desire(vec![]).await;
    assert_eq!(session.exited().await.worker, Some(worker(1, 2)));
}

#[tokio::test]
async fn worker_that_ignores_the_request_is_killed_after_the_grace() {
    let mut coordinator = Coordinator::start().await;
    let worker = fake_worker();
    let agent = Agent::start_with(
        &coordinator,
        &[
            "--worker-binary",
            worker.to_str().unwrap(),
            "--stop-grace-ms",
            "1",
        ],
    );
    let mut session = coordinator.session().await;
    let ready = agent.folder.path().join("ready");
    let work = r#"trap '' TERM; : > "$READY"; for i in $(seq 6000); do sleep 0.01; done"#;
    session
        .desire(vec![assignment_with(
            0,
            1,
            &[("WORK", work), ("READY", ready.to_str().unwrap())],
        )])
        .await;
    session.started().await;
    eventually("the worker is ready", || ready.exists()).await;
    session.desire(vec![]).await;
    assert_eq!(session.exited().await.how, "killed by signal 9 (SIGKILL)");
}

#[tokio::test]
async fn successor_comes_after_its_predecessor_and_has_a_log_of_its_own() {
    let mut coordinator = Coordinator::start().await;
    let agent = Agent::start(&coordinator);
    let mut session = coordinator.session().await;
    session.desire(vec![assignment(0, 1, WAIT)]).await;
    let first = session.started().await;
    session.desire(vec![assignment(0, 2, WAIT)]).await;
    assert_eq!(session.exited().await.pid, first.pid);
    let second = session.started().await;
    assert_eq!(second.worker, Some(worker(0, 2)));
    let logs = agent.folder.path().join("work/toy-1/logs");
    assert_eq!(
        second.log_path,
        logs.join("worker-0.i2.log").to_str().unwrap()
    );
}

#[tokio::test]
async fn ended_incarnation_is_not_started_again() {
    let mut coordinator = Coordinator::start().await;
    let _agent = Agent::start(&coordinator);
    let mut session = coordinator.session().await;
    session.desire(vec![assignment(0, 1, "exit 1")]).await;
    session.started().await;
    session.exited().await;
    session
        .desire(vec![assignment(0, 1, "exit 1"), assignment(1, 2, "exit 2")])
        .await;
    assert_eq!(session.started().await.worker, Some(worker(1, 2)));
    assert_eq!(session.exited().await.how, "exit code 2");
}

#[tokio::test]
async fn broken_session_is_opened_again_and_told_what_runs_and_what_ended() {
    let mut coordinator = Coordinator::start().await;
    let _agent = Agent::start(&coordinator);
    let mut session = coordinator.session().await;
    session
        .desire(vec![assignment(0, 1, "exit 4"), assignment(1, 2, WAIT)])
        .await;
    let (mut running, mut has_ended) = (None, false);
    while running.is_none() || !has_ended {
        match session.report().await {
            Some(Report::WorkerStarted(started)) if started.worker == Some(worker(1, 2)) => {
                running = Some(started);
            }
            Some(Report::WorkerStarted(_)) => {}
            Some(Report::WorkerExited(_)) => has_ended = true,
            other => panic!("{other:?} instead of a start or an exit"),
        }
    }
    let incarnation = session.hello.incarnation;
    drop(session);
    let mut again = coordinator.session().await;
    assert_eq!(again.hello.incarnation, incarnation);
    assert_eq!(Some(again.started().await), running);
    assert_eq!(again.exited().await.how, "exit code 4");
}

#[tokio::test]
async fn missing_worker_binary_is_named() {
    let mut coordinator = Coordinator::start().await;
    let _agent = Agent::start_with(&coordinator, &["--worker-binary", "/nowhere/convoy-worker"]);
    let mut session = coordinator.session().await;
    session.desire(vec![assignment(0, 1, "")]).await;
    let exited = session.exited().await;
    assert_eq!((exited.pid, exited.clean), (0, false));
    assert!(
        exited.how.starts_with(
            "could not be started: cannot start /nowhere/convoy-worker: No such file or directory"
        ),
        "{}",
        exited.how
    );
}

#[tokio::test]
async fn worker_without_libtorch_is_not_started_and_the_remedy_is_named() {
    let mut coordinator = Coordinator::start().await;
    let _agent = Agent::start(&coordinator);
    let mut session = coordinator.session().await;
    let complaint = "convoy-worker: error while loading shared libraries: libtorch_cpu.so: cannot open shared object file";
    let check = format!("echo '{complaint}' >&2; exit 127");
    session
        .desire(vec![assignment_with(
            0,
            1,
            &[("CHECK", &check), ("WORK", "exit 9")],
        )])
        .await;
    let exited = session.exited().await;
    assert_eq!(
        exited.how,
        "could not be started: libtorch 2.11.0 was not found (libtorch_cpu.so is missing): \
         run `cargo xtask quickstart`, or name its folder in LD_LIBRARY_PATH"
    );
    assert_eq!(exited.last_lines, [complaint]);
    assert!(
        exited.log_path.ends_with("/logs/worker-check.log"),
        "{}",
        exited.log_path
    );
}

#[tokio::test]
async fn worker_with_another_libtorch_tells_so_itself() {
    let mut coordinator = Coordinator::start().await;
    let _agent = Agent::start(&coordinator);
    let mut session = coordinator.session().await;
    let check = "echo 'error: libtorch 2.10.0 was found, 2.11.0 is needed' >&2; exit 1";
    session
        .desire(vec![assignment_with(0, 1, &[("CHECK", check)])])
        .await;
    assert_eq!(
        session.exited().await.how,
        "could not be started: libtorch 2.10.0 was found, 2.11.0 is needed"
    );
}

#[tokio::test]
async fn worker_can_be_ended_while_it_is_being_checked() {
    let mut coordinator = Coordinator::start().await;
    let agent = Agent::start(&coordinator);
    let mut session = coordinator.session().await;
    let pid_file = agent.folder.path().join("pid");
    let check =
        r#"echo $$ > "$PID.new"; mv "$PID.new" "$PID"; for i in $(seq 6000); do sleep 0.01; done"#;
    let environment = [("CHECK", check), ("PID", pid_file.to_str().unwrap())];
    session
        .desire(vec![assignment_with(0, 1, &environment)])
        .await;
    eventually("the check runs", || pid_file.exists()).await;
    session.desire(vec![]).await;
    assert_eq!(
        session.exited().await.how,
        "could not be started: it was stopped before it ran"
    );
    gone(
        fs::read_to_string(pid_file)
            .unwrap()
            .trim()
            .parse()
            .unwrap(),
    )
    .await;
}

#[tokio::test]
async fn spec_that_makes_no_sense_is_refused() {
    let mut coordinator = Coordinator::start().await;
    let _agent = Agent::start(&coordinator);
    let mut session = coordinator.session().await;
    let mut assigned = assignment(0, 1, "");
    assigned.spec_json = assigned.spec_json.replace("global_batch", "global_bach");
    session.desire(vec![assigned]).await;
    let how = session.exited().await.how;
    assert!(
        how.starts_with("could not be started: its job spec is no good: "),
        "{how}"
    );
    assert!(how.contains("global_bach"), "{how}");
}
