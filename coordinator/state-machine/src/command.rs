//! Everything that can happen to the replicated state, and what comes of it.

use convoy_common::ids::{Attempt, Generation, JobId, NodeId, SlotIndex, StepIndex, WorkerRef};
use convoy_common::spec::JobSpec;
use serde::{Deserialize, Serialize};

use crate::job::Obituary;
use crate::node::AgentIncarnation;
use crate::records::{
    CheckpointKey, DatasetFingerprint, Evaluation, Member, Progress, SliceReport,
};

/// A change that is proposed to the replicated state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Adds a job. The same client and sequence again gives the same job.
    SubmitJob {
        /// Names the client.
        client_id: String,
        /// Counts the submissions of this client.
        sequence: u64,
        /// What to train.
        spec: Box<JobSpec>,
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
    /// An agent offers its machine, or comes back.
    RegisterNode {
        /// Which machine.
        node: NodeId,
        /// Which life of its agent.
        incarnation: AgentIncarnation,
        /// Workers it can run at the same time.
        slots: u32,
        /// Address that other nodes reach its workers at.
        advertised_host: String,
    },
    /// A machine's agent is gone: nothing new is placed there. Its workers are judged by their own silence.
    NodeLost {
        /// Which machine.
        node: NodeId,
        /// Which life of its agent.
        incarnation: AgentIncarnation,
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
        /// Which.
        worker: WorkerRef,
        /// Its process id on its node.
        pid: u32,
        /// Its log on its node.
        log_path: String,
    },
    /// A worker's process is gone; its slot becomes free.
    WorkerEnded {
        /// Which.
        worker: WorkerRef,
        /// How.
        obituary: Obituary,
    },
    /// Commits a membership: compare-and-set on the current generation.
    FormGeneration(Formation),
    /// A member reported work in the newest generation.
    GenerationStarted {
        /// Which job.
        job: JobId,
        /// Which generation.
        generation: Generation,
    },
    /// How far the job is; every few seconds, never per step.
    RecordProgress {
        /// Which job.
        job: JobId,
        /// The generation that reports.
        generation: Generation,
        /// How far.
        progress: Progress,
    },
    /// An evaluation's counts; the first of (job, step) wins.
    RecordEvaluation {
        /// Which job.
        job: JobId,
        /// The generation that reports.
        generation: Generation,
        /// The counts.
        evaluation: Evaluation,
    },
    /// All slices of a checkpoint are on disk.
    CommitCheckpoint {
        /// Which job.
        job: JobId,
        /// Which checkpoint.
        key: CheckpointKey,
        /// One report per rank.
        slices: Vec<SliceReport>,
    },
    /// The manifest of a committed checkpoint lies beside its slices.
    ManifestWritten {
        /// Which job.
        job: JobId,
        /// The generation of the checkpoint.
        generation: Generation,
        /// The step of the checkpoint.
        step: StepIndex,
    },
    /// Everything is done.
    FinishJob {
        /// Which job.
        job: JobId,
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
}

/// What came of an accepted command.
#[derive(Clone, Debug, PartialEq, Eq)]
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

impl Command {
    /// The job it is about; none for a submission, whose job has no id yet, and for commands about nodes.
    #[must_use]
    pub fn job(&self) -> Option<&JobId> {
        match self {
            Self::SubmitJob { .. } | Self::RegisterNode { .. } | Self::NodeLost { .. } => None,
            Self::CancelJob { job, .. }
            | Self::PlaceWorkers { job, .. }
            | Self::GenerationStarted { job, .. }
            | Self::RecordProgress { job, .. }
            | Self::RecordEvaluation { job, .. }
            | Self::CommitCheckpoint { job, .. }
            | Self::ManifestWritten { job, .. }
            | Self::FinishJob { job, .. }
            | Self::FailJob { job, .. } => Some(job),
            Self::WorkerStarted { worker, .. } | Self::WorkerEnded { worker, .. } => {
                Some(&worker.job)
            }
            Self::FormGeneration(formation) => Some(&formation.job),
        }
    }
}
