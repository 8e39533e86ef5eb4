//! Jobs of one cluster: first come, first served, each on slots of its own.

use convoy_client::{AgentSession, Endpoints, JobsClient};
use convoy_common::ids::JobId;
use convoy_proto::v1::agent_report::Report as FromAgent;
use convoy_proto::{PROTOCOL_VERSION, v1};

use super::{PATIENCE, SPEC, agent_hello, desired, start};

pub(super) async fn agent(address: &Endpoints, node: &str, slots: u32) -> AgentSession {
    let hello = v1::AgentHello {
        node_id: node.to_owned(),
        slots,
        ..agent_hello(PROTOCOL_VERSION)
    };
    AgentSession::open(address, hello, PATIENCE).await.unwrap()
}

/// The agent says that a worker's process is gone.
pub(super) async fn ended(agent: &AgentSession, worker: &v1::WorkerRef) {
    let exited = v1::WorkerExited {
        worker: Some(worker.clone()),
        pid: 7,
        how: "exit code 0".to_owned(),
        clean: true,
        ..Default::default()
    };
    agent.send(FromAgent::WorkerExited(exited)).await.unwrap();
}

async fn submitted(jobs: &JobsClient, workers: u32) -> JobId {
    jobs.submit(SPEC.to_owned(), workers).await.unwrap()
}

fn jobs_of(workers: &[v1::WorkerRef]) -> Vec<&str> {
    workers
        .iter()
        .map(|worker| worker.job_id.as_str())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_run_side_by_side_on_slots_of_their_own_and_the_rest_waits_in_order() {
    let (coordinator, address, _folder) = start().await;
    let mut roomy = agent(&address, "n1", 2).await;
    let mut narrow = agent(&address, "n2", 1).await;
    let jobs = JobsClient::connect(&address, PATIENCE).await.unwrap();
    submitted(&jobs, 2).await;
    assert_eq!(jobs_of(&desired(&mut roomy, 2).await), ["talk-1"; 2]);
    let second = submitted(&jobs, 1).await;
    let workers = desired(&mut narrow, 1).await;
    assert_eq!(jobs_of(&workers), ["talk-2"]);
    let third = submitted(&jobs, 1).await;
    let fourth = submitted(&jobs, 1).await;
    let reason = async |job| jobs.describe(job).await.unwrap().reason;
    assert_eq!(
        reason(&third).await,
        "waits for 1 more worker slot: 1 wanted, 0 free on 2 nodes with 3 slots"
    );
    assert_eq!(
        reason(&fourth).await,
        "waits behind job talk-3, which was submitted earlier"
    );

    // A cancelled job holds its slot until its worker is gone.
    jobs.cancel(&second, "enough").await.unwrap();
    assert!(desired(&mut narrow, 0).await.is_empty());
    assert!(
        reason(&third)
            .await
            .starts_with("waits for 1 more worker slot")
    );
    ended(&narrow, &workers[0]).await;
    assert_eq!(jobs_of(&desired(&mut narrow, 1).await), ["talk-3"]);
    assert!(
        reason(&fourth)
            .await
            .starts_with("waits for 1 more worker slot")
    );

    let nodes = jobs.list_nodes().await.unwrap();
    let held = nodes.iter().flat_map(|node| {
        let slots = node.used.iter();
        slots.map(|used| {
            (
                node.node_id.as_str(),
                used.slot,
                used.worker.clone().unwrap().job_id,
            )
        })
    });
    let held: Vec<(&str, u32, String)> = held.collect();
    assert_eq!(
        held,
        [
            ("n1", 0, "talk-1".to_owned()),
            ("n1", 1, "talk-1".to_owned()),
            ("n2", 0, "talk-3".to_owned()),
        ]
    );
    let open = jobs.list_jobs(true).await.unwrap();
    let open: Vec<&str> = open.iter().map(|job| job.job_id.as_str()).collect();
    assert_eq!(open, ["talk-1", "talk-3", "talk-4"]);
    coordinator.shutdown().await;
}
