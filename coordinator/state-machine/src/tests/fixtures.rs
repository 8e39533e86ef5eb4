//! A small cluster and short ways to say what happens to it.

use std::collections::BTreeMap;

use convoy_common::ids::{
    Attempt, EpochIndex, Generation, Incarnation, JobId, NodeId, Phase, Position, Rank, SlotIndex,
    StepIndex, WorkerId, WorkerRef,
};
use convoy_common::partition::owned_shards;

use crate::command::{AgentRef, Command, Envelope, Fence, Formation, Outcome};
use crate::job::{Job, Obituary};
use crate::membership::Standing;
use crate::node::NodeOffer;
use crate::records::{
    CheckpointKey, DatasetFingerprint, Digest, Evaluation, Member, Progress, Slice, SliceReport,
};
use crate::spec::StoredSpec;
use crate::{Cluster, Refusal};

pub(super) const SHARDS: u32 = 4;

/// A spec with four data shards for one to four workers. Its text stands for a longer one, which nobody here reads.
pub(super) fn spec() -> StoredSpec {
    let spec = serde_json::json!({
        "json": r#"{"name":"digits"}"#,
        "name": "digits",
        "bounds": { "data_shards": SHARDS, "min_workers": 1, "max_workers": 4 },
        "epochs": 3,
    });
    serde_json::from_value(spec).unwrap()
}

pub(super) fn node(name: &str) -> NodeId {
    NodeId::try_from(name.to_owned()).unwrap()
}

pub(super) fn job(name: &str) -> JobId {
    JobId::try_from(name.to_owned()).unwrap()
}

pub(super) fn digest(byte: u8) -> Digest {
    Digest(vec![byte; 32])
}

pub(super) fn dataset() -> DatasetFingerprint {
    DatasetFingerprint {
        train_samples: 640,
        test_samples: 100,
        index_hash: digest(7),
    }
}

pub(super) fn attempt(counter: u64) -> Attempt {
    Attempt { term: 1, counter }
}

pub(super) fn standing(step: u64) -> Standing {
    let position = Position {
        generation: Generation(0),
        step: StepIndex(step),
        phase: Phase::Train,
    };
    Standing {
        position,
        dataset: dataset(),
        state_digest: digest(1),
    }
}

pub(super) fn submit(sequence: u64, workers: u32) -> Envelope {
    let command = Command::SubmitJob {
        spec: spec(),
        workers,
    };
    command.from_client("cli", sequence)
}

pub(super) fn annotate(job: &JobId, key: &str, value: Option<&str>) -> Command {
    Command::AnnotateJob {
        job: job.clone(),
        key: key.to_owned(),
        value: value.map(str::to_owned),
    }
}

pub(super) fn agent(name: &str, incarnation: u64) -> AgentRef {
    AgentRef {
        node: node(name),
        incarnation,
    }
}

pub(super) fn offer(slots: u32) -> NodeOffer {
    NodeOffer {
        slots,
        advertised_host: "127.0.0.1".to_owned(),
        labels: BTreeMap::from([("rack".to_owned(), "r1".to_owned())]),
        build: "convoy test".to_owned(),
        protocol_version: 1,
        worker_memory_bytes: Some(1 << 30),
    }
}

pub(super) fn register(name: &str, incarnation: u64, slots: u32) -> Command {
    Command::RegisterNode {
        agent: agent(name, incarnation),
        offer: offer(slots),
    }
}

pub(super) fn lose(name: &str, incarnation: u64) -> Command {
    Command::NodeLost {
        agent: agent(name, incarnation),
        reason: "silent".to_owned(),
    }
}

/// The first agent of node `a` reports a start.
pub(super) fn started(worker: WorkerRef) -> Command {
    Command::WorkerStarted {
        agent: agent("a", 1),
        worker,
        pid: 5,
        log_path: "/log".to_owned(),
    }
}

/// The first agent of node `a` reports an end.
pub(super) fn ended(worker: WorkerRef) -> Command {
    Command::WorkerEnded {
        agent: agent("a", 1),
        worker,
        obituary: killed(),
    }
}

pub(super) fn place(id: &JobId, slots: &[(&str, u32)]) -> Command {
    let slots = slots
        .iter()
        .map(|(name, slot)| (node(name), SlotIndex(*slot)))
        .collect();
    Command::PlaceWorkers {
        job: id.clone(),
        slots,
    }
}

pub(super) fn killed() -> Obituary {
    Obituary {
        pid: 42,
        how: "killed by signal 9 (SIGKILL)".to_owned(),
        clean: false,
        last_lines: vec!["last words".to_owned()],
        log_path: "/logs/worker-0.log".to_owned(),
    }
}

pub(super) fn worker(id: &JobId, worker: u32, incarnation: u64) -> WorkerRef {
    WorkerRef {
        job: id.clone(),
        worker: WorkerId(worker),
        incarnation: Incarnation(incarnation),
    }
}

/// What worker 0 in its first life says about this generation, which attempt 1 formed.
pub(super) fn by(id: &JobId, generation: u64) -> Fence {
    Fence {
        worker: worker(id, 0, 1),
        generation: Generation(generation),
        attempt: attempt(1),
    }
}

/// All live workers of the job as members, as the leader would propose them.
pub(super) fn formation(job: &Job, counter: u64, start: u64) -> Formation {
    let workers: Vec<_> = job.live_workers().collect();
    let world = u32::try_from(workers.len()).unwrap();
    let members = (0..).map(Rank).zip(workers).map(|(rank, worker)| Member {
        worker,
        rank,
        data_address: format!("127.0.0.1:{}", 9_000 + rank.0),
        shards: owned_shards(SHARDS, world, rank),
    });
    Formation {
        job: job.id.clone(),
        parent: job.current_generation(),
        attempt: attempt(counter),
        members: members.collect(),
        start: StepIndex(start),
        dataset: dataset(),
        build: Some("0.1.0".to_owned()),
    }
}

pub(super) fn progress(step: u64) -> Progress {
    Progress {
        position: Position {
            generation: Generation(1),
            step: StepIndex(step),
            phase: Phase::Train,
        },
        epoch: EpochIndex(0),
        epochs: 3,
        steps: 30,
        loss: 0.5,
        accuracy: 0.75,
        images_per_second: 1000.0,
        samples: step * 64,
        step_seconds: 1.0,
        other_seconds: 0.5,
        skipped_steps: Vec::new(),
        skipped: 0,
        coordinator_waits: 0,
    }
}

pub(super) fn evaluation(step: u64, correct: u64) -> Evaluation {
    Evaluation {
        step: StepIndex(step),
        samples: 100,
        correct,
        loss: 0.4,
    }
}

pub(super) fn checkpoint(step: u64, last: bool) -> CheckpointKey {
    CheckpointKey {
        generation: Generation(1),
        attempt: attempt(1),
        step: StepIndex(step),
        epoch: EpochIndex(1),
        folder: format!("/c/digits-1/step-{step:08}"),
        last,
    }
}

pub(super) fn slice(rank: u32, weights: u8) -> SliceReport {
    let file = format!("rank-{rank}.safetensors");
    let slice = Slice {
        rank: Rank(rank),
        file,
        bytes: 10,
        blake3: digest(2),
    };
    SliceReport {
        slice,
        weights_sha256: digest(weights),
    }
}

/// A cluster with one node of two slots and one job of two workers.
pub(super) struct Story {
    pub(super) cluster: Cluster,
    pub(super) id: JobId,
}

impl Story {
    /// The job waits; a node with two slots is there.
    pub(super) fn submitted() -> Self {
        let mut story = Self {
            cluster: Cluster::default(),
            id: job("digits-1"),
        };
        story.ok(register("a", 1, 2));
        story.ok(submit(1, 2));
        story
    }

    /// Its two workers, incarnations 1 and 2, have slots.
    pub(super) fn placed() -> Self {
        let mut story = Self::submitted();
        story.ok(place(&story.id.clone(), &[("a", 0), ("a", 1)]));
        story
    }

    /// Generation 1 is committed and started.
    pub(super) fn training() -> Self {
        let mut story = Self::placed();
        story.ok(Command::FormGeneration(formation(story.job(), 1, 0)));
        let by = by(&story.id, 1);
        story.ok(Command::GenerationStarted { by });
        story
    }

    pub(super) fn job(&self) -> &Job {
        self.cluster.job(&self.id).unwrap()
    }

    pub(super) fn ok(&mut self, command: impl Into<Envelope>) -> Outcome {
        self.cluster.apply(command).unwrap()
    }

    /// The command is refused with exactly this, and changes nothing.
    pub(super) fn refused(&mut self, command: impl Into<Envelope>, expected: &Refusal) {
        let before = self.cluster.clone();
        let refusal = self.cluster.apply(command).unwrap_err();
        assert_eq!(&refusal, expected, "{refusal}");
        assert!(
            before.jobs().eq(self.cluster.jobs()),
            "a refused command changed a job"
        );
        assert!(
            before.nodes().eq(self.cluster.nodes()),
            "a refused command changed a node"
        );
    }
}
