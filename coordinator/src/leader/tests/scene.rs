//! One leader, one agent with two slots, one job of two workers, and short ways to say what happens.

use std::collections::BTreeMap;

use convoy_common::ids::{
    Attempt, EpochIndex, Generation, JobId, NodeId, Phase, Position, Rank, ReplicaId as MemberId,
    StepIndex, WorkerRef,
};
use convoy_common::spec::JobSpec;
use convoy_consensus::ReplicaId;
use convoy_proto::PROTOCOL_VERSION;
use convoy_state_machine::Cluster;
use convoy_state_machine::command::{AgentRef, Origin};
use convoy_state_machine::job::{JobPhase, Obituary};
use convoy_state_machine::membership::Standing;
use convoy_state_machine::node::NodeOffer;
use convoy_state_machine::records::{
    CheckpointKey, DatasetFingerprint, Digest, Evaluation, Progress, Slice, SliceReport,
};
use convoy_state_machine::replica::Replica;
use convoy_state_machine::spec::StoredSpec;
use convoy_state_machine::time::Moment;
use convoy_state_machine::version::ClusterVersion;
use futures::FutureExt;
use tokio::sync::{oneshot, watch};

use super::super::{
    AgentAttach, AgentDirective, AgentHello, AgentReport, Beginning, ClientRequest, Detached,
    Event, Leader, Next, NumberedView, Outgoing, Refused, Reply, SessionId, SliceWritten,
    Submission, WorkerAttach, WorkerDirective, WorkerHello, WorkerReport, channel,
};
use crate::config::Timings;
use crate::consensus::{InMemoryLog, Log};
use crate::replication::{Directory, Failure};

const SPEC: &str = r#"{
  "name": "talk", "model": {"name": "small_cnn", "classes": 4},
  "data": {"format": "idx", "train_images": "/a", "train_labels": "/b", "test_images": "/c", "test_labels": "/d", "mean": [0.3], "std": [0.3]},
  "training": {"epochs": 1, "global_batch": 8, "data_shards": 2},
  "optimizer": {"name": "sgd", "learning_rate": 0.1},
  "elastic": {"min_workers": 1, "max_workers": 2},
  "checkpoints": {"folder": "/checkpoints"}
}"#;

/// A coordinator that has not heard yet who leads.
pub(super) fn beginning<L>(log: L) -> Beginning<L> {
    let own = Replica {
        raft_address: "127.0.0.1:7700".to_owned(),
        api_address: "127.0.0.1:7700".to_owned(),
        build: "test".to_owned(),
        supports: ClusterVersion::NEWEST,
    };
    Beginning {
        log,
        cluster: Cluster::default(),
        directory: Directory::of_one(ReplicaId(1)),
        introduction: (MemberId(1), own),
        timings: Timings::default(),
        shutdown_ends_agents: true,
        failure: Failure::default(),
    }
}

pub(super) struct Scene<L> {
    pub(super) leader: Leader<L>,
    now_ms: u64,
    sessions: u64,
    agent: (SessionId, Outgoing<AgentDirective>),
    pub(super) agent_is_heard: bool,
    refs: Vec<WorkerRef>,
    workers: BTreeMap<u32, (SessionId, Outgoing<WorkerDirective>)>,
    /// The attempt that formed the generation.
    pub(super) attempt: Attempt,
}

impl Scene<InMemoryLog> {
    /// The workers have slots.
    pub(super) fn placed() -> Self {
        Self::placed_with(InMemoryLog::default())
    }

    /// Both workers have sessions.
    pub(super) fn attached() -> Self {
        let mut scene = Self::placed();
        scene.attach(0);
        scene.attach(1);
        scene
    }

    /// Generation 1 is committed.
    pub(super) fn training() -> Self {
        Self::training_with(InMemoryLog::default())
    }
}

impl<L: Log> Scene<L> {
    fn placed_with(log: L) -> Self {
        let (outbound, outgoing, _) = channel();
        drop(outbound);
        let mut scene = Self {
            leader: Leader::new(beginning(log)),
            now_ms: 0,
            sessions: 0,
            agent: (SessionId(0), outgoing),
            agent_is_heard: true,
            refs: Vec::new(),
            workers: BTreeMap::new(),
            attempt: Attempt::default(),
        };
        scene.attach_agent("n1", 2);
        assert_eq!(scene.submit(1, 2), Ok(job_id("talk-1")));
        let told = scene.read_agent();
        let Some(AgentDirective::Desired(desired)) = told.last() else {
            panic!("{told:?}")
        };
        scene.refs = desired.iter().map(|one| one.worker.clone()).collect();
        scene
    }

    pub(super) fn training_with(log: L) -> Self {
        let mut scene = Self::placed_with(log);
        scene.attach(0);
        scene.attach(1);
        let attempt = scene.stop_attempt(0);
        scene.form(attempt);
        assert_eq!(scene.phase(), JobPhase::Training);
        scene.read_all(0);
        scene.read_all(1);
        scene
    }

    /// Asks as a client; the answer comes at once.
    pub(super) fn ask<T>(
        &mut self,
        request: impl FnOnce(Reply<T>) -> ClientRequest,
    ) -> Result<T, Refused> {
        let (reply, mut answer) = oneshot::channel();
        self.handle(Event::Client(request(Reply(reply))));
        answer.try_recv().expect("answered at once")
    }

    /// Another coordinator says who it is.
    pub(super) fn introduce(&mut self, replica: MemberId, member: Replica) -> Result<(), Refused> {
        let (reply, mut answer) = oneshot::channel();
        self.handle(Event::Introduced {
            replica,
            member,
            reply: Reply(reply),
        });
        answer.try_recv().unwrap()
    }

    /// The client `cli` submits the job of the scene.
    pub(super) fn submit(&mut self, sequence: u64, workers: u32) -> Result<JobId, Refused> {
        let spec: JobSpec = serde_json::from_str(SPEC).unwrap();
        let submission = Box::new(Submission {
            origin: origin(sequence),
            spec: StoredSpec::new(&spec).unwrap(),
            workers,
        });
        self.ask(|reply| ClientRequest::Submit { submission, reply })
    }

    pub(super) fn handle(&mut self, event: Event) {
        self.leader.handle(event, Moment::from_ms(self.now_ms));
    }

    /// Ticks every 100 ms; heartbeats come from these workers, and from the agent while it is heard.
    pub(super) fn pass_ms(&mut self, ms: u64, heard: &[u32]) {
        for _ in 0..ms / 100 {
            self.now_ms += 100;
            for worker in heard {
                if self.workers.contains_key(worker) {
                    self.report(*worker, WorkerReport::Heartbeat);
                }
            }
            if self.agent_is_heard {
                self.agent_reports(AgentReport::Heartbeat);
            }
            self.handle(Event::Tick);
        }
    }

    /// One tick after all this time.
    pub(super) fn jump_ms(&mut self, ms: u64) {
        self.pass_ms(100, &[0, 1]);
        self.now_ms += ms;
        self.handle(Event::Tick);
    }

    fn next_session(&mut self) -> SessionId {
        self.sessions += 1;
        SessionId(self.sessions)
    }

    /// An agent of this name attaches; the newest one of node `n1` is the scene's own.
    pub(super) fn attach_agent(&mut self, name: &str, slots: u32) -> SessionId {
        self.attach_agent_with(agent_hello(name, slots)).unwrap()
    }

    pub(super) fn attach_agent_with(&mut self, hello: AgentHello) -> Result<SessionId, Refused> {
        let name = hello.agent.node.clone();
        let session = self.next_session();
        let (outbound, outgoing, _gone) = channel();
        let (reply, mut answer) = oneshot::channel();
        self.handle(Event::AgentAttach(AgentAttach {
            hello,
            session,
            outbound,
            reply: Reply(reply),
        }));
        answer.try_recv().unwrap()?;
        if name == node("n1") {
            self.agent = (session, outgoing);
        }
        Ok(session)
    }

    pub(super) fn agent_reports(&mut self, report: AgentReport) {
        let session = self.agent.0;
        self.agent_reports_as("n1", session, report);
    }

    pub(super) fn agent_reports_as(&mut self, name: &str, session: SessionId, report: AgentReport) {
        let node = node(name);
        self.handle(Event::AgentReport {
            node,
            session,
            report,
        });
    }

    pub(super) fn worker(&self, index: u32) -> WorkerRef {
        self.refs[index as usize].clone()
    }

    pub(super) fn session(&self, index: u32) -> SessionId {
        self.workers[&index].0
    }

    /// Opens a session; returns the other end of the one before.
    pub(super) fn attach(&mut self, index: u32) -> Option<Outgoing<WorkerDirective>> {
        let worker = self.worker(index);
        let opened = self.attach_as(&worker).unwrap();
        self.workers.insert(index, opened).map(|(_, old)| old)
    }

    pub(super) fn attach_as(
        &mut self,
        worker: &WorkerRef,
    ) -> Result<(SessionId, Outgoing<WorkerDirective>), Refused> {
        self.attach_with(worker_hello(worker))
    }

    pub(super) fn attach_with(
        &mut self,
        hello: WorkerHello,
    ) -> Result<(SessionId, Outgoing<WorkerDirective>), Refused> {
        let session = self.next_session();
        let (outbound, outgoing, _gone) = channel();
        let (reply, mut answer) = oneshot::channel();
        self.handle(Event::WorkerAttach(WorkerAttach {
            hello,
            session,
            outbound,
            reply: Reply(reply),
        }));
        answer.try_recv().unwrap().map(|()| (session, outgoing))
    }

    pub(super) fn detach(&mut self, index: u32, why: &str) {
        let (session, _) = self.workers.remove(&index).unwrap();
        self.detach_in(index, session, why);
    }

    pub(super) fn detach_in(&mut self, index: u32, session: SessionId, why: &str) {
        let (worker, why) = (self.worker(index), Detached::Ended(why.to_owned()));
        self.handle(Event::WorkerDetached {
            worker,
            session,
            why,
        });
    }

    pub(super) fn report(&mut self, index: u32, report: WorkerReport) {
        let session = self.session(index);
        self.report_in(index, session, report);
    }

    pub(super) fn report_in(&mut self, index: u32, session: SessionId, report: WorkerReport) {
        let worker = self.worker(index);
        self.handle(Event::WorkerReport {
            worker,
            session,
            report,
        });
    }

    /// Everything that a worker was told and has not read, but for the welcome.
    pub(super) fn read_all(&mut self, index: u32) -> Vec<WorkerDirective> {
        let (_, outgoing) = self.workers.get_mut(&index).unwrap();
        let mut told = read(outgoing);
        told.retain(|told| !matches!(told, WorkerDirective::Welcome { .. }));
        told
    }

    pub(super) fn read_agent(&mut self) -> Vec<AgentDirective> {
        read(&mut self.agent.1)
    }

    /// Why the leader closed a worker's session, if it did.
    pub(super) fn closed(&mut self, index: u32) -> Option<Refused> {
        closed(&mut self.workers.get_mut(&index).unwrap().1)
    }

    /// The newest attempt of which this worker was told Stop.
    pub(super) fn stop_attempt(&mut self, index: u32) -> Attempt {
        let told = self.read_all(index);
        match told.last() {
            Some(WorkerDirective::Stop { attempt }) => *attempt,
            _ => panic!("the last is no Stop: {told:?}"),
        }
    }

    pub(super) fn stopped(&mut self, index: u32, attempt: Attempt) {
        self.stopped_on(index, attempt, dataset(7));
    }

    pub(super) fn stopped_on(&mut self, index: u32, attempt: Attempt, dataset: DatasetFingerprint) {
        let standing = Standing {
            position: position(0, 0, Phase::Train),
            dataset,
            state_digest: digest(1),
        };
        self.report(index, WorkerReport::Stopped { attempt, standing });
    }

    pub(super) fn ready(&mut self, index: u32, attempt: Attempt) {
        let state_digest = digest(1);
        self.report(
            index,
            WorkerReport::Ready {
                attempt,
                state_digest,
            },
        );
    }

    /// Both workers answer Stop and Prepare.
    pub(super) fn form(&mut self, attempt: Attempt) {
        self.stopped(0, attempt);
        self.stopped(1, attempt);
        self.ready(0, attempt);
        self.ready(1, attempt);
        self.attempt = attempt;
    }

    /// Both workers report the last evaluation, their slices of the last checkpoint, its manifest, and their end.
    pub(super) fn all_work_done(&mut self, generation: Generation) {
        for rank in 0..2 {
            let evaluation = Evaluation {
                step: StepIndex(2),
                samples: 4,
                correct: 3,
                loss: 0.5,
            };
            self.report(
                rank,
                WorkerReport::Evaluated {
                    generation,
                    evaluation,
                },
            );
            let slice = Slice {
                rank: Rank(rank),
                file: format!("slice-{rank}"),
                bytes: 9,
                blake3: digest(3),
            };
            let report = SliceReport {
                slice,
                weights_sha256: digest(4),
            };
            let key = self.last_checkpoint(generation);
            self.report(
                rank,
                WorkerReport::SliceWritten(SliceWritten { key, report }),
            );
            let position = position(generation.0, 2, Phase::Finish);
            self.report(
                rank,
                WorkerReport::Trained {
                    generation,
                    position,
                },
            );
        }
        let step = StepIndex(2);
        self.report(0, WorkerReport::ManifestWritten { generation, step });
    }

    fn last_checkpoint(&self, generation: Generation) -> CheckpointKey {
        CheckpointKey {
            generation,
            attempt: self.attempt,
            step: StepIndex(2),
            epoch: EpochIndex(1),
            folder: "/checkpoints/talk-1/step-00000002".to_owned(),
            last: true,
        }
    }

    pub(super) fn phase(&self) -> JobPhase {
        let job = self.leader.cluster.job(&job_id("talk-1")).unwrap();
        job.phase.clone()
    }

    pub(super) fn failed_with(&self, parts: &[&str]) {
        let phase = self.phase();
        let JobPhase::Failed { reason } = phase else {
            panic!("{phase}")
        };
        for part in parts {
            assert!(reason.contains(part), "{part:?} is not in {reason:?}");
        }
    }

    pub(super) fn watch(&mut self) -> Result<watch::Receiver<NumberedView>, Refused> {
        let job = job_id("talk-1");
        self.ask(|reply| ClientRequest::Watch { job, reply })
    }
}

/// What an agent of the usual build says first.
pub(super) fn agent_hello(name: &str, slots: u32) -> AgentHello {
    AgentHello {
        agent: AgentRef {
            node: node(name),
            incarnation: 1,
        },
        offer: NodeOffer {
            slots,
            advertised_host: "127.0.0.1".to_owned(),
            labels: BTreeMap::new(),
            build: "test".to_owned(),
            protocol_version: PROTOCOL_VERSION,
            worker_memory_bytes: None,
        },
    }
}

/// What a worker of the usual build says first.
pub(super) fn worker_hello(worker: &WorkerRef) -> WorkerHello {
    WorkerHello {
        protocol_version: PROTOCOL_VERSION,
        build: "test".to_owned(),
        worker: worker.clone(),
        pid: 1,
        data_address: format!("127.0.0.1:{}", 5_000 + worker.worker.0),
    }
}

/// 16 training samples and 4 for tests, with an index hash of this byte.
pub(super) fn dataset(hash: u8) -> DatasetFingerprint {
    DatasetFingerprint {
        train_samples: 16,
        test_samples: 4,
        index_hash: digest(hash),
    }
}

fn read<D>(outgoing: &mut Outgoing<D>) -> Vec<D> {
    let mut told = Vec::new();
    while let Some(Next::Directive(directive)) = outgoing.next().now_or_never() {
        told.push(directive);
    }
    told
}

pub(super) fn closed<D>(outgoing: &mut Outgoing<D>) -> Option<Refused> {
    match outgoing.next().now_or_never() {
        Some(Next::Closed(why)) => Some(why),
        Some(Next::Directive(_) | Next::End) | None => None,
    }
}

/// The client `cli`, and how often it wanted something.
pub(super) fn origin(sequence: u64) -> Origin {
    Origin {
        client_id: "cli".to_owned(),
        sequence,
    }
}

pub(super) fn job_id(name: &str) -> JobId {
    JobId::try_from(name.to_owned()).unwrap()
}

fn node(name: &str) -> NodeId {
    NodeId::try_from(name.to_owned()).unwrap()
}

fn digest(byte: u8) -> Digest {
    Digest(vec![byte; 32])
}

fn position(generation: u64, step: u64, phase: Phase) -> Position {
    Position {
        generation: Generation(generation),
        step: StepIndex(step),
        phase,
    }
}

pub(super) fn killed() -> Obituary {
    Obituary {
        pid: 42,
        how: "killed by signal 9 (SIGKILL)".to_owned(),
        clean: false,
        last_lines: Vec::new(),
        log_path: "/logs/worker.log".to_owned(),
    }
}

pub(super) fn progress(step: u64) -> Progress {
    Progress {
        position: position(1, step, Phase::Train),
        epoch: EpochIndex(0),
        epochs: 1,
        steps: 100,
        loss: 0.5,
        accuracy: 0.75,
        images_per_second: 1000.0,
        samples: step * 8,
        step_seconds: 1.0,
        other_seconds: 0.5,
        skipped_steps: Vec::new(),
        skipped: 0,
        coordinator_waits: 0,
    }
}
