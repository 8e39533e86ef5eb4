//! A small cluster and short ways to say what happens to it.

use convoy_common::ids::{
    Attempt, EpochIndex, Generation, Incarnation, JobId, NodeId, Phase, Position, Rank, SlotIndex,
    StepIndex, WorkerId, WorkerRef,
};
use convoy_common::partition::owned_shards;
use convoy_common::spec::JobSpec;

use crate::command::{Command, Formation, Outcome};
use crate::job::{Job, Obituary};
use crate::membership::Standing;
use crate::records::{
    CheckpointKey, DatasetFingerprint, Digest, Evaluation, Member, Progress, Slice, SliceReport,
};
use crate::{Cluster, Refusal};

pub(super) const SHARDS: u32 = 4;

/// A spec with four data shards for one to four workers.
pub(super) fn spec() -> JobSpec {
    let text = r#"{
        "name": "digits",
        "model": { "name": "small_cnn", "classes": 10 },
        "data": {
            "format": "idx", "train_images": "/d/a", "train_labels": "/d/b", "test_images": "/d/c", "test_labels": "/d/d",
            "mean": [0.5], "std": [0.25]
        },
        "training": { "epochs": 3, "global_batch": 64, "data_shards": 4 },
        "optimizer": { "name": "sgd", "learning_rate": 0.1 },
        "elastic": { "min_workers": 1, "max_workers": 4 },
        "checkpoints": { "folder": "/c" }
    }"#;
    serde_json::from_str(text).unwrap()
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

pub(super) fn submit(sequence: u64, workers: u32) -> Command {
    Command::SubmitJob {
        client_id: "cli".to_owned(),
        sequence,
        spec: Box::new(spec()),
        workers,
    }
}

pub(super) fn register(name: &str, incarnation: u64, slots: u32) -> Command {
    let advertised_host = "127.0.0.1".to_owned();
    Command::RegisterNode {
        node: node(name),
        incarnation,
        slots,
        advertised_host,
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
        story.ok(Command::GenerationStarted {
            job: story.id.clone(),
            generation: Generation(1),
        });
        story
    }

    pub(super) fn job(&self) -> &Job {
        self.cluster.job(&self.id).unwrap()
    }

    pub(super) fn ok(&mut self, command: Command) -> Outcome {
        self.cluster.apply(command).unwrap()
    }

    /// The command is refused with exactly this, and changes nothing.
    pub(super) fn refused(&mut self, command: Command, expected: &Refusal) {
        let before: Vec<Job> = self.cluster.jobs().cloned().collect();
        let nodes: Vec<_> = self
            .cluster
            .nodes()
            .map(|(id, node)| (id.clone(), node.clone()))
            .collect();
        let refusal = self.cluster.apply(command).unwrap_err();
        assert_eq!(&refusal, expected, "{refusal}");
        assert!(
            before.iter().eq(self.cluster.jobs()),
            "a refused command changed a job"
        );
        let after = self
            .cluster
            .nodes()
            .map(|(id, node)| (id.clone(), node.clone()));
        assert!(
            nodes.into_iter().eq(after),
            "a refused command changed a node"
        );
    }
}
