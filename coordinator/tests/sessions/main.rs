//! A coordinator over real gRPC, with an agent and workers that only talk.
#![expect(clippy::unwrap_used, reason = "a test that can't go on should panic")]

mod logs;
mod queue;

use std::time::Duration;

use convoy_access::{Access, ClusterKey};
use convoy_client::{AgentSession, CoordinatorAddress, Endpoints, JobsClient, WorkerSession};
use convoy_coordinator::{Coordinator, CoordinatorSettings, StartError};
use convoy_proto::v1::agent_directive::Directive as ToAgent;
use convoy_proto::v1::agent_report::Report as FromAgent;
use convoy_proto::v1::worker_directive::Directive as ToWorker;
use convoy_proto::v1::worker_report::Report as FromWorker;
use convoy_proto::{PROTOCOL_VERSION, v1};
use tempfile::TempDir;
use tokio::time::timeout;

/// Far beyond what anything here takes; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(30);

const SPEC: &str = r#"{
  "name": "talk", "model": {"name": "small_cnn", "classes": 4},
  "data": {"format": "idx", "train_images": "/a", "train_labels": "/b", "test_images": "/c", "test_labels": "/d", "mean": [0.3], "std": [0.3]},
  "training": {"epochs": 1, "global_batch": 8, "data_shards": 2},
  "optimizer": {"name": "sgd", "learning_rate": 0.1},
  "elastic": {"min_workers": 1, "max_workers": 2},
  "checkpoints": {"folder": "/checkpoints"}
}"#;

fn agent_hello(protocol_version: u32) -> v1::AgentHello {
    v1::AgentHello {
        protocol_version,
        build: "test".to_owned(),
        node_id: "n1".to_owned(),
        incarnation: 1,
        slots: 2,
        advertised_host: "127.0.0.1".to_owned(),
        ..Default::default()
    }
}

/// A coordinator's settings, and the folder of its data.
fn settings() -> (CoordinatorSettings, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let settings = CoordinatorSettings::embedded(folder.path().join("coordinator"));
    (settings, folder)
}

async fn start() -> (Coordinator, Endpoints, TempDir) {
    let (settings, folder) = settings();
    let coordinator = Coordinator::start(settings).await.unwrap();
    let address = CoordinatorAddress::from(coordinator.address());
    (coordinator, address.into(), folder)
}

fn cluster_key() -> ClusterKey {
    let secret: [u8; 32] = std::array::from_fn(|at| at as u8);
    ClusterKey::new(&secret).unwrap()
}

/// The workers that the agent is told to run.
async fn desired(agent: &mut AgentSession, count: usize) -> Vec<v1::WorkerRef> {
    loop {
        if let ToAgent::Desired(desired) = timeout(PATIENCE, agent.next_directive())
            .await
            .unwrap()
            .unwrap()
            .unwrap()
            && desired.workers.len() == count
        {
            return desired
                .workers
                .into_iter()
                .map(|assignment| assignment.worker.unwrap())
                .collect();
        }
    }
}

async fn next(worker: &mut WorkerSession) -> ToWorker {
    loop {
        match timeout(PATIENCE, worker.next_directive())
            .await
            .unwrap()
            .unwrap()
            .unwrap()
        {
            ToWorker::Welcome(_) => {}
            directive @ (ToWorker::Stop(_)
            | ToWorker::Prepare(_)
            | ToWorker::Go(_)
            | ToWorker::WriteManifest(_)
            | ToWorker::Finish(_)) => return directive,
        }
    }
}

async fn attach(address: &Endpoints, worker: &v1::WorkerRef) -> WorkerSession {
    let hello = v1::WorkerHello {
        protocol_version: PROTOCOL_VERSION,
        build: "test".to_owned(),
        worker: Some(worker.clone()),
        pid: 1,
        data_address: format!("127.0.0.1:{}", 5000 + worker.worker_id),
    };
    WorkerSession::open(address, hello, PATIENCE).await.unwrap()
}

/// Answers Stop and Prepare of all workers, up to Go; returns the attempt and the generation.
async fn form(workers: &mut [WorkerSession]) -> (v1::Attempt, u64) {
    for worker in workers.iter_mut() {
        let ToWorker::Stop(stop) = next(worker).await else {
            panic!("no Stop")
        };
        let position = v1::Position {
            generation: 0,
            step: 0,
            phase: v1::Phase::Train.into(),
        };
        let dataset = v1::DatasetFingerprint {
            train_samples: 16,
            test_samples: 4,
            index_hash: vec![1; 32],
        };
        let stopped = v1::Stopped {
            attempt: stop.attempt,
            position: Some(position),
            dataset: Some(dataset),
            state_digest: vec![2; 32],
        };
        worker.send(FromWorker::Stopped(stopped)).await.unwrap();
    }
    for worker in workers.iter_mut() {
        let ToWorker::Prepare(prepare) = next(worker).await else {
            panic!("no Prepare")
        };
        let shards: Vec<u32> = prepare
            .members
            .iter()
            .flat_map(|member| member.shards.clone())
            .collect();
        assert_eq!(shards, [0, 1], "the members own every shard once");
        let ready = v1::Ready {
            attempt: prepare.attempt,
            state_digest: vec![2; 32],
        };
        worker.send(FromWorker::Ready(ready)).await.unwrap();
    }
    let mut formed = None;
    for worker in workers.iter_mut() {
        let ToWorker::Go(go) = next(worker).await else {
            panic!("no Go")
        };
        formed = Some((go.attempt.unwrap(), go.generation));
    }
    formed.unwrap()
}

async fn finished_view(address: &Endpoints, job: &convoy_common::ids::JobId) -> v1::JobView {
    let jobs = JobsClient::connect(address, PATIENCE).await.unwrap();
    let mut watch = jobs.watch(job).await.unwrap();
    loop {
        let view = timeout(PATIENCE, watch.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        let over = [
            v1::JobState::Finished,
            v1::JobState::Failed,
            v1::JobState::Cancelled,
        ];
        if over.iter().any(|state| view.state == i32::from(*state)) {
            return view;
        }
    }
}

/// Every worker reports its slice of the final checkpoint, the evaluation and its end.
async fn report_all_work(workers: &[WorkerSession], attempt: v1::Attempt, generation: u64) {
    for (rank, worker) in (0u32..).zip(workers) {
        let slice = v1::Slice {
            rank,
            file: format!("slice-{rank}"),
            bytes: 9,
            blake3: vec![3; 32],
        };
        let written = v1::SliceWritten {
            generation,
            attempt: Some(attempt),
            step: 2,
            epoch: 1,
            slice: Some(slice),
            weights_sha256: vec![4; 32],
            folder: "/checkpoints/talk-1/step-00000002".to_owned(),
            r#final: true,
        };
        worker
            .send(FromWorker::SliceWritten(written))
            .await
            .unwrap();
        let evaluation = v1::Evaluation {
            step: 2,
            samples: 4,
            correct: 3,
            loss: 0.5,
        };
        worker
            .send(FromWorker::Evaluated(v1::Evaluated {
                generation,
                evaluation: Some(evaluation),
            }))
            .await
            .unwrap();
        let position = v1::Position {
            generation,
            step: 2,
            phase: v1::Phase::Finish.into(),
        };
        worker
            .send(FromWorker::Trained(v1::Trained {
                generation,
                position: Some(position),
            }))
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_from_submission_to_finish() {
    let (coordinator, address, _folder) = start().await;
    let mut agent = AgentSession::open(&address, agent_hello(PROTOCOL_VERSION), PATIENCE)
        .await
        .unwrap();
    let job = JobsClient::connect(&address, PATIENCE)
        .await
        .unwrap()
        .submit(SPEC.to_owned(), 2)
        .await
        .unwrap();
    let mut workers = Vec::new();
    for worker in desired(&mut agent, 2).await {
        workers.push(attach(&address, &worker).await);
    }
    let (attempt, generation) = form(&mut workers).await;

    report_all_work(&workers, attempt, generation).await;
    let ToWorker::WriteManifest(write) = next(&mut workers[0]).await else {
        panic!("no WriteManifest")
    };
    assert_eq!(write.manifest.unwrap().slices.len(), 2);
    workers[0]
        .send(FromWorker::ManifestWritten(v1::ManifestWritten {
            generation,
            step: 2,
        }))
        .await
        .unwrap();
    for worker in &mut workers {
        assert!(matches!(next(worker).await, ToWorker::Finish(_)));
    }
    let view = finished_view(&address, &job).await;
    assert_eq!(
        view.state,
        i32::from(v1::JobState::Finished),
        "{}",
        view.reason
    );
    assert_eq!(view.evaluations[0].correct, 3);
    coordinator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_fails_the_job_with_its_last_words() {
    let (coordinator, address, _folder) = start().await;
    let mut agent = AgentSession::open(&address, agent_hello(PROTOCOL_VERSION), PATIENCE)
        .await
        .unwrap();
    let job = JobsClient::connect(&address, PATIENCE)
        .await
        .unwrap()
        .submit(SPEC.to_owned(), 2)
        .await
        .unwrap();
    let refs = desired(&mut agent, 2).await;
    let mut workers = Vec::new();
    for worker in &refs {
        workers.push(attach(&address, worker).await);
    }
    let (attempt, generation) = form(&mut workers).await;
    // The survivor's broken ring comes first, and must not become the reason.
    let broken = v1::CollectiveBroken {
        attempt: Some(attempt),
        generation,
        reason: "lost rank 1".to_owned(),
    };
    workers[0].send(FromWorker::Broken(broken)).await.unwrap();
    let exited = v1::WorkerExited {
        worker: Some(refs[1].clone()),
        pid: 77,
        how: "killed by signal 9 (SIGKILL)".to_owned(),
        clean: false,
        last_lines: vec!["the last line".to_owned()],
        log_path: "/logs/worker-1.log".to_owned(),
    };
    agent.send(FromAgent::WorkerExited(exited)).await.unwrap();

    let view = finished_view(&address, &job).await;
    assert_eq!(view.state, i32::from(v1::JobState::Failed));
    for part in ["SIGKILL", "the last line", "/logs/worker-1.log"] {
        assert!(
            view.reason.contains(part),
            "{part:?} is not in {:?}",
            view.reason
        );
    }
    coordinator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_refused_with_what_to_do() {
    let (coordinator, _, _folder) = start().await;
    let (mut taken, _other) = settings();
    taken.listen = coordinator.address();
    let error = Coordinator::start(taken).await.unwrap_err();
    assert!(matches!(error, StartError::AddressInUse { .. }));
    let error = error.to_string();
    for setting in [
        "`listen` in its configuration file",
        "--listen of `convoy run`",
    ] {
        assert!(error.contains(setting), "{error}");
    }
    coordinator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_others_reach_is_refused_unless_strangers_are_kept_out_or_meant_to_come() {
    let listening = |access| {
        let (mut listening, folder) = settings();
        listening.listen = ([0, 0, 0, 0], 0).into();
        listening.access = access;
        (listening, folder)
    };
    let (alone, _folder) = listening(Access::Loopback);
    let error = Coordinator::start(alone).await.unwrap_err();
    assert!(matches!(error, StartError::Open(_)), "{error}");
    for access in [Access::Insecure, Access::Keyed(cluster_key())] {
        let (open, _folder) = listening(access);
        let coordinator = Coordinator::start(open).await.unwrap();
        coordinator.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_know_the_cluster_key_is_not_served() {
    let (mut keyed, _folder) = settings();
    keyed.access = Access::Keyed(cluster_key());
    let coordinator = Coordinator::start(keyed).await.unwrap();
    let stranger = Endpoints::from(CoordinatorAddress::from(coordinator.address()));
    let error = AgentSession::open(&stranger, agent_hello(PROTOCOL_VERSION), PATIENCE)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("--cluster-key FILE"), "{error}");
    let known = stranger.with_key(Some(cluster_key()));
    AgentSession::open(&known, agent_hello(PROTOCOL_VERSION), PATIENCE)
        .await
        .unwrap();
    coordinator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_another_protocol_is_refused_with_both_versions() {
    let (coordinator, address, _folder) = start().await;
    let error = AgentSession::open(&address, agent_hello(PROTOCOL_VERSION + 1), PATIENCE)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("protocol 2") && error.contains("speaks 1"),
        "{error}"
    );
    coordinator.shutdown().await;
}

fn submission(sequence: u64, spec_json: String) -> v1::SubmitRequest {
    v1::SubmitRequest {
        client_id: "test".to_owned(),
        sequence,
        spec_json,
        workers: 2,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_lists_and_specs_come_over_the_wire() {
    let (coordinator, address, _folder) = start().await;
    let hello = v1::AgentHello {
        labels: [("rack".to_owned(), "r1".to_owned())].into(),
        worker_memory_bytes: Some(1 << 30),
        ..agent_hello(PROTOCOL_VERSION)
    };
    let _agent = AgentSession::open(&address, hello, PATIENCE).await.unwrap();
    let mut jobs =
        v1::jobs_client::JobsClient::connect(format!("http://{}", coordinator.address()))
            .await
            .unwrap();
    let job_id = jobs
        .submit(submission(1, SPEC.to_owned()))
        .await
        .unwrap()
        .into_inner()
        .job_id;
    let note = v1::AnnotateRequest {
        job_id: job_id.clone(),
        key: "best".to_owned(),
        value: Some("yes".to_owned()),
        client_id: "test".to_owned(),
        sequence: 2,
    };
    for _ in 0..2 {
        jobs.annotate(note.clone()).await.unwrap();
    }
    let describe = v1::DescribeRequest {
        job_id: job_id.clone(),
    };
    let view = jobs.describe(describe).await.unwrap().into_inner();
    assert_eq!(view.annotations["best"], "yes");
    let list = jobs
        .list_jobs(v1::ListJobsRequest::default())
        .await
        .unwrap();
    let line = &list.get_ref().jobs[0];
    assert_eq!(
        (&line.job_id, line.workers_wanted, line.workers_live),
        (&job_id, 2, 2)
    );
    assert_eq!(line.state(), v1::JobState::Forming);
    let list = jobs
        .list_nodes(v1::ListNodesRequest::default())
        .await
        .unwrap();
    let line = &list.get_ref().nodes[0];
    assert_eq!((line.node_id.as_str(), line.used.len()), ("n1", 2));
    assert_eq!(
        (line.labels["rack"].as_str(), line.worker_memory_bytes),
        ("r1", Some(1 << 30))
    );
    let wanted = v1::JobSpecRequest { job_id };
    let spec = jobs.job_spec(wanted).await.unwrap().into_inner();
    assert_eq!(spec.workers, 2);
    let again = submission(3, spec.spec_json);
    let second = jobs.submit(again).await.unwrap().into_inner();
    assert_eq!(second.job_id, "talk-2");
    coordinator.shutdown().await;
}
