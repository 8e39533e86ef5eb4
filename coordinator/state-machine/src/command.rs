//! Everything that can happen to the replicated state, and what comes of it.

mod envelope;
mod fence;

use convoy_common::ids::{
    Attempt, Generation, JobId, NodeId, ReplicaId, SlotIndex, StepIndex, WorkerRef,
};
use serde::{Deserialize, Serialize};

use crate::job::Obituary;
use crate::node::NodeOffer;
use crate::records::{
    CheckpointKey, DatasetFingerprint, Evaluation, Member, Progress, SliceReport,
};
use crate::replica::Replica;
use crate::spec::StoredSpec;
use crate::version::ClusterVersion;

pub use envelope::{Answer, Envelope, Origin};
pub use fence::{AgentRef, Fence};

/// A change that is proposed to the replicated state.
///
/// **Boundary:** kept in logs. Names and meaning stay; a new field has a default, a new case needs a cluster version
/// ([`Command::since`]); golden files tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Adds a job.
    SubmitJob {
        /// What to train.
        spec: StoredSpec,
        /// With exactly so many workers.
        workers: u32,
    },
    /// Ends a job that is not over.
    CancelJob {
        /// Which.
        job: JobId,
        /// Who or why.
        reason: String,
    },
    /// Notes something about a job, also one that is over.
    AnnotateJob {
        /// Which.
        job: JobId,
        /// Names the note; one that is there already is replaced.
        key: String,
        /// What it says; none takes it away.
        value: Option<String>,
    },
    /// An agent offers its machine, or comes back.
    RegisterNode {
        /// Who.
        agent: AgentRef,
        /// What it offers.
        offer: NodeOffer,
    },
    /// A machine's agent is gone: nothing new is placed there. Its workers are judged by their own silence.
    NodeLost {
        /// Who.
        agent: AgentRef,
        /// One sentence.
        reason: String,
    },
    /// Gives a waiting job its slots, one per worker, in the order of worker ids.
    PlaceWorkers {
        /// Which job.
        job: JobId,
        /// Where.
        slots: Vec<(NodeId, SlotIndex)>,
    },
    /// An agent started a worker.
    WorkerStarted {
        /// Who says so.
        agent: AgentRef,
        /// Which.
        worker: WorkerRef,
        /// Its process id on its node.
        pid: u32,
        /// Its log on its node.
        log_path: String,
    },
    /// A worker's process is gone; its slot becomes free.
    WorkerEnded {
        /// Who says so.
        agent: AgentRef,
        /// Which.
        worker: WorkerRef,
        /// How.
        obituary: Obituary,
    },
    /// Commits a membership: compare-and-set on the current generation.
    FormGeneration(Formation),
    /// A member reported work in the newest generation.
    GenerationStarted {
        /// Who.
        by: Fence,
    },
    /// How far the job is; every few seconds, never per step.
    RecordProgress {
        /// Who says so.
        by: Fence,
        /// How far.
        progress: Progress,
    },
    /// An evaluation's counts; the first of (job, step) wins.
    RecordEvaluation {
        /// Who says so.
        by: Fence,
        /// The counts.
        evaluation: Evaluation,
    },
    /// All slices of a checkpoint are on disk.
    CommitCheckpoint {
        /// Who reported the last of them; generation and attempt are those of the checkpoint.
        worker: WorkerRef,
        /// Which checkpoint.
        key: CheckpointKey,
        /// One report per rank.
        slices: Vec<SliceReport>,
    },
    /// The manifest of a committed checkpoint lies beside its slices.
    ManifestWritten {
        /// Who says so, with the generation of the checkpoint.
        by: Fence,
        /// The step of the checkpoint.
        step: StepIndex,
    },
    /// Everything is done.
    FinishJob {
        /// Which job.
        job: JobId,
        /// The generation that did the last of it.
        generation: Generation,
        /// The last evaluation, if there was one.
        evaluation: Option<StepIndex>,
        /// The final checkpoint; its manifest is written.
        checkpoint: StepIndex,
    },
    /// The job can't go on.
    FailJob {
        /// Which job.
        job: JobId,
        /// The first line is one sentence.
        reason: String,
    },
    /// Allows the commands of a newer cluster version, for good.
    SetClusterVersion {
        /// Which.
        version: ClusterVersion,
    },
    /// Says where a coordinator can be reached and what it supports. Who votes is decided by consensus, not here.
    SetMember {
        /// Which coordinator.
        replica: ReplicaId,
        /// Its addresses and its build.
        member: Replica,
    },
    /// Forgets a coordinator's addresses.
    RemoveMember {
        /// Which coordinator.
        replica: ReplicaId,
    },
}

/// A membership whose members are all ready.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Formation {
    /// Which job.
    pub job: JobId,
    /// The generation that is current when this is applied, or it is refused.
    pub parent: Generation,
    /// Which attempt.
    pub attempt: Attempt,
    /// By rank; the shards they own tile all data shards.
    pub members: Vec<Member>,
    /// Completed steps at the beginning.
    pub start: StepIndex,
    /// What all members train on.
    pub dataset: DatasetFingerprint,
    /// How the build of all members names itself; none from a leader that did not say so yet. Kept, and nothing that `apply`
    /// answers follows from it, so that it needs no cluster version.
    #[serde(default)]
    pub build: Option<String>,
}

/// What came of an accepted command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It changed the state.
    Done,
    /// It had been done already.
    Unchanged,
    /// The job exists, now or since the first time.
    Submitted(JobId),
    /// The workers were given slots and incarnations.
    Placed(Vec<WorkerRef>),
    /// The membership is committed.
    Formed(Generation),
}

/// What has to be looked at again after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// What is shown of the job, at most: nothing is decided by it.
    Shown,
    /// Decisions about the job and what is owed to its workers.
    Job,
    /// These, and which waiting job gets which slots.
    Queue,
}

impl Command {
    /// The job it is about; none for a submission, whose job has no id yet, and for commands about the cluster.
    #[must_use]
    pub fn job(&self) -> Option<&JobId> {
        match self {
            Self::SubmitJob { .. }
            | Self::RegisterNode { .. }
            | Self::NodeLost { .. }
            | Self::SetClusterVersion { .. }
            | Self::SetMember { .. }
            | Self::RemoveMember { .. } => None,
            Self::CancelJob { job, .. }
            | Self::AnnotateJob { job, .. }
            | Self::PlaceWorkers { job, .. }
            | Self::FinishJob { job, .. }
            | Self::FailJob { job, .. } => Some(job),
            Self::WorkerStarted { worker, .. }
            | Self::WorkerEnded { worker, .. }
            | Self::CommitCheckpoint { worker, .. } => Some(&worker.job),
            Self::GenerationStarted { by }
            | Self::RecordProgress { by, .. }
            | Self::RecordEvaluation { by, .. }
            | Self::ManifestWritten { by, .. } => Some(&by.worker.job),
            Self::FormGeneration(formation) => Some(&formation.job),
        }
    }

    /// What has to be looked at again after it.
    #[must_use]
    pub fn reach(&self) -> Reach {
        match self {
            Self::AnnotateJob { .. }
            | Self::RecordProgress { .. }
            | Self::SetClusterVersion { .. }
            | Self::SetMember { .. }
            | Self::RemoveMember { .. } => Reach::Shown,
            Self::WorkerStarted { .. }
            | Self::FormGeneration(_)
            | Self::GenerationStarted { .. }
            | Self::RecordEvaluation { .. }
            | Self::CommitCheckpoint { .. }
            | Self::ManifestWritten { .. } => Reach::Job,
            Self::SubmitJob { .. }
            | Self::CancelJob { .. }
            | Self::RegisterNode { .. }
            | Self::NodeLost { .. }
            | Self::PlaceWorkers { .. }
            | Self::WorkerEnded { .. }
            | Self::FinishJob { .. }
            | Self::FailJob { .. } => Reach::Queue,
        }
    }

    /// The cluster version that must be committed before it is accepted.
    #[must_use]
    pub fn since(&self) -> ClusterVersion {
        match self {
            // Always: how else would the version rise.
            Self::SetClusterVersion { .. } => ClusterVersion(0),
            Self::SubmitJob { .. }
            | Self::CancelJob { .. }
            | Self::AnnotateJob { .. }
            | Self::RegisterNode { .. }
            | Self::NodeLost { .. }
            | Self::PlaceWorkers { .. }
            | Self::WorkerStarted { .. }
            | Self::WorkerEnded { .. }
            | Self::FormGeneration(_)
            | Self::GenerationStarted { .. }
            | Self::RecordProgress { .. }
            | Self::RecordEvaluation { .. }
            | Self::CommitCheckpoint { .. }
            | Self::ManifestWritten { .. }
            | Self::FinishJob { .. }
            | Self::FailJob { .. }
            | Self::SetMember { .. }
            | Self::RemoveMember { .. } => ClusterVersion(1),
        }
    }
}
