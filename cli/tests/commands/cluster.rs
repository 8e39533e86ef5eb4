//! A coordinator in the test's own process, with agents that only talk.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests; clippy's allowance reaches only test functions"
)]

use std::time::Duration;

use convoy_client::{AgentSession, CoordinatorAddress, Endpoints, JobsClient};
use convoy_common::ids::JobId;
use convoy_common::spec::JobSpec;
use convoy_coordinator::{Coordinator, CoordinatorSettings};
use convoy_proto::v1::agent_directive::Directive;
use convoy_proto::{PROTOCOL_VERSION, v1};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::fixture::{Place, Ran, SPEC};

/// Only a hang takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster of one, beside a folder with a job spec.
pub(crate) struct Cluster {
    pub(crate) place: Place,
    pub(crate) address: String,
    runtime: Runtime,
    coordinator: Option<Coordinator>,
    _data: TempDir,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let runtime = Runtime::new().unwrap();
        let settings = CoordinatorSettings::embedded(data.path().join("coordinator"));
        let coordinator = runtime.block_on(Coordinator::start(settings)).unwrap();
        Self {
            place: Place::new(),
            address: format!("http://{}", coordinator.address()),
            runtime,
            coordinator: Some(coordinator),
            _data: data,
        }
    }

    /// Runs `convoy`, told of the cluster by its variable.
    pub(crate) fn convoy(&self, arguments: &[&str]) -> Ran {
        let mut command = self.place.command(arguments);
        Ran::of(command.env("CONVOY_COORDINATORS", &self.address))
    }

    /// Runs it, expects success and nothing on standard error; what it printed.
    #[track_caller]
    pub(crate) fn says(&self, arguments: &[&str]) -> String {
        let ran = self.convoy(arguments);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
        ran.out
    }

    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.says(arguments)).unwrap()
    }

    /// Submits `job.toml`; its id.
    #[track_caller]
    pub(crate) fn submit(&self, workers: &str) -> String {
        let out = self.says(&["submit", "job.toml", "--workers", workers]);
        out.strip_suffix('\n').unwrap().to_owned()
    }

    /// Submits so many jobs in a row.
    pub(crate) fn submit_many(&self, jobs: usize) {
        let spec_json = JobSpec::parse(SPEC, "job.toml").unwrap().to_json().unwrap();
        self.runtime.block_on(async {
            let client = JobsClient::connect(&self.endpoints(), PATIENCE)
                .await
                .unwrap();
            for _ in 0..jobs {
                client.submit(spec_json.clone(), 1).await.unwrap();
            }
        });
    }

    /// What was submitted.
    pub(crate) fn spec(&self, job: &str) -> v1::JobSpecReply {
        let job = JobId::try_from(job.to_owned()).unwrap();
        self.runtime.block_on(async {
            let jobs = JobsClient::connect(&self.endpoints(), PATIENCE)
                .await
                .unwrap();
            jobs.spec(&job).await.unwrap()
        })
    }

    /// An agent that says hello, and afterwards what the test tells it to.
    pub(crate) fn agent(&self, node: &str, slots: u32) -> AgentSession {
        let hello = v1::AgentHello {
            protocol_version: PROTOCOL_VERSION,
            build: "test".to_owned(),
            node_id: node.to_owned(),
            incarnation: 1,
            slots,
            advertised_host: "127.0.0.1".to_owned(),
            labels: [("rack".to_owned(), "r1".to_owned())].into(),
            worker_memory_bytes: Some(2 << 30),
        };
        let endpoints = self.endpoints();
        let open = AgentSession::open(&endpoints, hello, PATIENCE);
        self.runtime.block_on(open).unwrap()
    }

    /// Waits until `agent` is told to run so many workers; which.
    pub(crate) fn told(&self, agent: &mut AgentSession, workers: usize) -> Vec<v1::WorkerRef> {
        self.runtime.block_on(async {
            loop {
                let directive = timeout(PATIENCE, agent.next_directive()).await.unwrap();
                if let Directive::Desired(desired) = directive.unwrap().unwrap()
                    && desired.workers.len() == workers
                {
                    let assigned = desired.workers.into_iter();
                    return assigned.map(|one| one.worker.unwrap()).collect();
                }
            }
        })
    }

    fn endpoints(&self) -> Endpoints {
        let address: CoordinatorAddress = self.address.parse().unwrap();
        address.into()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(coordinator) = self.coordinator.take() {
            self.runtime.block_on(coordinator.shutdown());
        }
    }
}
