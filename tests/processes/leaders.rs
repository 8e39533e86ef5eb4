//! Jobs that train while coordinators come and go: no step waits for any of them.

use std::fs;
use std::process::Command;

use convoy_client::JobsClient;
use convoy_common::ids::JobId;
use convoy_common::spec::JobSpec;
use convoy_proto::v1;
use harness::{Bench, Run, binary, signal};

use crate::cluster::Cluster;

/// Images of the training split: an epoch takes long enough that workers report no faster than in earnest.
const IMAGES: u32 = 4_800;
/// Images of the test split.
const TEST_IMAGES: u32 = 40;
const EPOCHS: u32 = 30;
/// Of 24 images each.
const STEPS_PER_EPOCH: u64 = 200;

/// Times that a leader is killed while one job trains.
const KILLS: u32 = 3;

/// Three coordinators and one node, which runs a job on two workers.
struct Training {
    cluster: Cluster,
    bench: Bench,
    agent: Run,
    jobs: JobsClient,
    job: JobId,
    /// Incarnation and process of each worker when training began.
    workers: Vec<(u32, u64, u32)>,
}

impl Training {
    /// A job that trains.
    fn start() -> Self {
        let (cluster, bench) = (Cluster::start(), Bench::new());
        let folder = bench.folder.path();
        let data = folder.join("data");
        fs::remove_dir_all(&data).unwrap();
        convoy_data::synthetic::write_idx_dataset(&data, IMAGES, TEST_IMAGES, 12, 4, 7).unwrap();
        let agent = start_agent(&cluster, &bench);
        let jobs = cluster.client();
        let spec = spec(&bench);
        let job = cluster.wait_on(jobs.submit(spec, 2)).unwrap();
        let mut training = Self {
            cluster,
            bench,
            agent,
            jobs,
            job,
            workers: Vec::new(),
        };
        training.wait_for_step(0);
        training.workers = workers(&training.view());
        assert_eq!(training.workers.len(), 2);
        training
    }

    fn view(&self) -> v1::JobView {
        let view = self.cluster.wait_on(self.jobs.describe(&self.job));
        view.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits until more than so many steps are done; how many are.
    fn wait_for_step(&self, past: u64) -> u64 {
        self.cluster.eventually("the next step", || {
            let view = self.view();
            let state = view.state();
            assert!(!is_over(state), "{state:?} after {past} steps: {view:#?}");
            Some(step(&view)).filter(|step| *step > past)
        })
    }

    /// That the same processes train on, and have not waited.
    fn assert_undisturbed(&self) {
        let step = step(&self.view());
        let step = self.wait_for_step(step);
        let view = self.view();
        assert_eq!(view.state(), v1::JobState::Training, "after {step} steps");
        self.assert_same_workers(&view);
    }

    fn assert_same_workers(&self, view: &v1::JobView) {
        assert_eq!(workers(view), self.workers, "{view:#?}");
        assert_eq!(view.generation, 1);
        let waits = view
            .progress
            .as_ref()
            .map(|progress| progress.coordinator_waits);
        assert_eq!(waits, Some(0), "{view:#?}");
    }

    /// Waits for the end of the job and of everything else.
    fn finish(self) {
        let running = self.agent.processes("convoy-worker");
        assert_eq!(running.len(), 2, "{running:?}");
        let view = self.cluster.eventually("the end of the job", || {
            Some(self.view()).filter(|view| is_over(view.state()))
        });
        assert_eq!(view.state(), v1::JobState::Finished, "{}", view.reason);
        self.assert_same_workers(&view);
        let evaluated: Vec<u64> = view.evaluations.iter().map(|at| at.step).collect();
        let expected: Vec<u64> = (1..=u64::from(EPOCHS))
            .map(|epoch| epoch * STEPS_PER_EPOCH)
            .collect();
        assert_eq!(evaluated, expected, "each epoch's evaluation counts once");
        signal(self.agent.pid(), "TERM");
        let ended = self.agent.wait();
        assert_eq!(ended.code, Some(0), "{}", ended.text);
        drop(self.bench);
    }
}

fn start_agent(cluster: &Cluster, bench: &Bench) -> Run {
    let folder = bench.folder.path();
    let coordinators: Vec<String> = cluster
        .coordinators
        .ids()
        .iter()
        .map(|id| format!("{:?}", cluster.coordinators.endpoint(*id)))
        .collect();
    let config = folder.join("agent.toml");
    let text = format!(
        "node_id = \"n1\"\ncoordinators = [{}]\nslots = 2\nwork_dir = \"work\"\n",
        coordinators.join(", ")
    );
    fs::write(&config, text).unwrap();
    let mut command = Command::new(binary("convoy-agent"));
    command.arg("--config").arg(config);
    Run::start(command, folder)
}

fn spec(bench: &Bench) -> String {
    let path = bench.spec(EPOCHS, |text| text);
    let text = fs::read_to_string(&path).unwrap();
    let mut spec = JobSpec::parse(&text, "tiny.toml").unwrap();
    spec.resolve_paths(bench.folder.path());
    spec.to_json().unwrap()
}

fn workers(view: &v1::JobView) -> Vec<(u32, u64, u32)> {
    let workers = view.workers.iter();
    workers
        .map(|worker| (worker.worker_id, worker.incarnation, worker.pid))
        .collect()
}

fn step(view: &v1::JobView) -> u64 {
    let progress = view.progress.as_ref();
    let position = progress.and_then(|progress| progress.position.as_ref());
    position.map_or(0, |position| position.step)
}

fn is_over(state: v1::JobState) -> bool {
    match state {
        v1::JobState::Finished | v1::JobState::Failed | v1::JobState::Cancelled => true,
        v1::JobState::Unspecified
        | v1::JobState::Waiting
        | v1::JobState::Forming
        | v1::JobState::Training => false,
    }
}

#[test]
fn job_trains_on_while_all_coordinators_are_restarted_one_by_one() {
    let mut training = Training::start();
    for id in training.cluster.coordinators.ids() {
        let led = training.cluster.leader() == id;
        let status = training.cluster.coordinators.terminate(id);
        let log = training.cluster.coordinators.log(id);
        assert_eq!(status.code(), Some(0), "{log}");
        assert_eq!(led, log.contains("another leads"), "{log}");
        training.cluster.coordinators.restart(id);
        training.cluster.all_caught_up();
        training.assert_undisturbed();
    }
    training.finish();
}

#[test]
fn job_trains_on_while_leaders_are_killed() {
    let mut training = Training::start();
    for _ in 0..KILLS {
        let leader = training.cluster.leader();
        training.cluster.coordinators.kill(&[leader]);
        training.assert_undisturbed();
        training.cluster.coordinators.restart(leader);
        training.cluster.all_caught_up();
    }
    training.assert_undisturbed();
    training.finish();
}

#[test]
fn job_trains_on_while_a_leader_stands_still_and_when_it_goes_on() {
    let mut training = Training::start();
    let leader = training.cluster.leader();
    training.cluster.coordinators.pause(leader);
    // Seen at the next leader, to which the workers have come.
    training.assert_undisturbed();
    assert_ne!(training.cluster.leader(), leader);
    training.cluster.coordinators.resume(leader);
    training.cluster.all_caught_up();
    training.assert_undisturbed();
    training.finish();
}
