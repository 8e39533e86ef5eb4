//! Three coordinators, and short ways to ask them.

use std::time::{Duration, Instant};

use convoy_client::{Caller, CoordinatorAddress, CoordinatorsClient, Endpoints, JobsClient};
use convoy_common::ids::JobId;
use convoy_proto::v1;
use convoy_proto::v1::coordinators_client::CoordinatorsClient as CoordinatorsStub;
use convoy_proto::v1::jobs_client::JobsClient as JobsStub;
use harness::PATIENCE;
use harness::coordinators::Coordinators;
use tokio::runtime::Runtime;

/// One question to one coordinator; it is asked again.
const ASK_LIMIT: Duration = Duration::from_secs(2);

/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(10);

/// A job that waits for ever, as there are no nodes.
pub(crate) fn spec(name: &str) -> String {
    format!(
        r#"{{"name": "{name}", "model": {{"name": "small_cnn", "classes": 4}},
        "data": {{"format": "idx", "train_images": "/a", "train_labels": "/b", "test_images": "/c", "test_labels": "/d",
        "mean": [0.3], "std": [0.3]}}, "training": {{"epochs": 1, "global_batch": 8, "data_shards": 2}},
        "optimizer": {{"name": "sgd", "learning_rate": 0.1}}, "elastic": {{"min_workers": 1, "max_workers": 2}},
        "checkpoints": {{"folder": "/checkpoints"}}}}"#
    )
}

/// Three coordinators and the runtime of their clients.
pub(crate) struct Cluster {
    pub(crate) coordinators: Coordinators,
    runtime: Runtime,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        Self::of(Coordinators::start())
    }

    pub(crate) fn of(coordinators: Coordinators) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        Self {
            coordinators,
            runtime: runtime.expect("a runtime can be started"),
        }
    }

    pub(crate) fn wait_on<T>(&self, what: impl Future<Output = T>) -> T {
        self.runtime.block_on(what)
    }

    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        what: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.runtime.spawn(what)
    }

    fn endpoints(&self) -> Endpoints {
        let endpoints = self.coordinators.endpoints().parse();
        endpoints.expect("addresses of the harness are addresses")
    }

    /// A client of its own, with connections of its own.
    pub(crate) fn client(&self) -> JobsClient {
        JobsClient::of(self.caller())
    }

    pub(crate) fn caller(&self) -> Caller {
        Caller::new(self.endpoints())
    }

    /// Submits a job as soon as someone leads.
    pub(crate) fn submit(&self, name: &str) -> JobId {
        let jobs = self.client();
        let submitted = self.wait_on(jobs.submit(spec(name), 1));
        submitted.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Names and ids of all jobs after the one with this number.
    pub(crate) fn jobs_after(&self, mut after_number: u64) -> Vec<v1::JobSummary> {
        let caller = self.caller();
        let mut jobs: Vec<v1::JobSummary> = Vec::new();
        loop {
            let list = |connection| async move {
                let request = v1::ListJobsRequest {
                    open_only: false,
                    after_number,
                };
                JobsStub::new(connection).list_jobs(request).await
            };
            let page = self.wait_on(caller.ask("list the jobs", PATIENCE, list));
            let page = page.unwrap_or_else(|error| panic!("{error}"));
            jobs.extend(page.jobs);
            if !page.more {
                return jobs;
            }
            after_number = jobs.last().map_or(after_number, |last| last.number);
        }
    }

    /// What one coordinator says of itself, if it answers.
    pub(crate) fn status(&self, id: u64) -> Option<v1::StatusReply> {
        let address: Option<CoordinatorAddress> = self.coordinators.endpoint(id).parse().ok();
        let caller = Caller::new(Endpoints::from(address?));
        let ask = |connection| async move {
            let request = v1::StatusRequest { any: true };
            CoordinatorsStub::new(connection).status(request).await
        };
        let asked = caller.ask("tell how it is doing", ASK_LIMIT, ask);
        self.wait_on(asked).ok()
    }

    /// Who leads, as soon as someone does.
    pub(crate) fn leader(&self) -> u64 {
        self.eventually("a leader", || {
            let running = self.coordinators.running().into_iter();
            let statuses = running.filter_map(|id| self.status(id));
            let leads = |status: &v1::StatusReply| status.role() == v1::CoordinatorRole::Leader;
            let newest = statuses.filter(leads).max_by_key(|status| status.term);
            newest.map(|status| status.id)
        })
    }

    /// Makes this one lead.
    pub(crate) fn lead(&self, id: u64) {
        let client = CoordinatorsClient::of(self.caller());
        self.eventually(&format!("coordinator {id} to lead"), || {
            // A transfer may come to nothing, as any election.
            let _ = self.wait_on(client.transfer_leader(Some(id)));
            (self.leader() == id).then_some(())
        });
    }

    /// Waits until all have applied everything that any has; how many entries that are.
    pub(crate) fn all_caught_up(&self) -> u64 {
        self.eventually("all coordinators to have caught up", || {
            let ids = self.coordinators.ids().into_iter();
            let statuses: Vec<_> = ids.filter_map(|id| self.status(id)).collect();
            let leads = |status: &&v1::StatusReply| status.role() == v1::CoordinatorRole::Leader;
            let all = statuses.len() == self.coordinators.ids().len();
            let leader = statuses.iter().find(leads).filter(|_| all)?;
            let (end, term) = (leader.last_index, leader.term);
            let is_there = |status: &v1::StatusReply| {
                (status.applied, status.last_index, status.term) == (end, end, term)
            };
            statuses.iter().all(is_there).then_some(end)
        })
    }

    pub(crate) fn kill_all(&mut self) {
        let ids = self.coordinators.running();
        self.coordinators.kill(&ids);
    }

    pub(crate) fn restart_all(&mut self) {
        for id in self.coordinators.ids() {
            self.coordinators.restart(id);
        }
    }

    /// Looks again and again until there is something.
    ///
    /// # Panics
    /// If there is nothing for too long.
    pub(crate) fn eventually<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
            std::thread::sleep(LOOK);
        }
    }
}
