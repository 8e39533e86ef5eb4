//! Why a command is refused; each refusal carries what was given and what holds.

use convoy_common::ids::{
    Attempt, Generation, Incarnation, JobId, NodeId, Rank, ReplicaId, ShardIndex, SlotIndex,
    StepIndex, WorkerId, WorkerRef,
};
use convoy_common::spec::WorkersRefused;
use serde::{Deserialize, Serialize};

use crate::job::PhaseName;
use crate::limits::{MAX_ANNOTATIONS, MAX_LABELS, MAX_NODES, MAX_OPEN_JOBS, MAX_REPLICAS};
use crate::node::AgentIncarnation;
use crate::records::{DatasetFingerprint, Digest};
use crate::text::Text;
use crate::version::ClusterVersion;

/// Why a command changed nothing. Part of the state, as the answer of a client's last command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[expect(
    missing_docs,
    reason = "the message of each case says what its fields are"
)]
pub enum Refusal {
    #[error("there is no job {job}")]
    UnknownJob { job: JobId },
    #[error("there is no node {node}")]
    UnknownNode { node: NodeId },
    #[error("job {job} has no worker {worker}: it has {workers}")]
    UnknownWorker {
        job: JobId,
        worker: WorkerId,
        workers: usize,
    },
    #[error("job name {name:?} makes no id")]
    InvalidName { name: String },
    #[error("job {name} can't run: {why}")]
    Workers { name: String, why: WorkersRefused },
    #[error("command {given} of client {client_id} is older than its last one, {newest}")]
    StaleSequence {
        client_id: String,
        given: u64,
        newest: u64,
    },
    #[error(
        "{open} jobs are open, the limit is {MAX_OPEN_JOBS}: wait for one to end or cancel one"
    )]
    TooManyOpenJobs { open: usize },
    #[error("job {job} is over: it is {phase}")]
    JobOver { job: JobId, phase: PhaseName },
    #[error("job {job} is {phase}, not {wanted}")]
    WrongPhase {
        job: JobId,
        phase: PhaseName,
        wanted: PhaseName,
    },

    #[error("{what} has {bytes} bytes, not {least} to {most}")]
    TextLength {
        what: Text,
        bytes: usize,
        least: usize,
        most: usize,
    },
    #[error(
        "job {job} has {annotations} annotations, the limit is {MAX_ANNOTATIONS}: take one away first"
    )]
    TooManyAnnotations { job: JobId, annotations: usize },

    #[error("this needs cluster version {needed}, and {committed} is committed")]
    ClusterVersionNeeded {
        needed: ClusterVersion,
        committed: ClusterVersion,
    },
    #[error("cluster version {given} is lower than the committed one, {committed}")]
    ClusterVersionLower {
        given: ClusterVersion,
        committed: ClusterVersion,
    },
    #[error("cluster version {given} is unknown to this build, which knows {known} at most")]
    ClusterVersionUnknown {
        given: ClusterVersion,
        known: ClusterVersion,
    },
    #[error(
        "coordinator {replica} (build {build}) supports cluster version {supports}, not {needed}: upgrade it first"
    )]
    ReplicaTooOld {
        replica: ReplicaId,
        build: String,
        supports: ClusterVersion,
        needed: ClusterVersion,
    },
    #[error(
        "{replicas} coordinators are known, the limit is {MAX_REPLICAS}: remove one before coordinator {replica} is added"
    )]
    TooManyReplicas { replica: ReplicaId, replicas: usize },

    #[error("node {node} has {labels} labels, the limit is {MAX_LABELS}")]
    TooManyLabels { node: NodeId, labels: usize },
    #[error(
        "{nodes} nodes are known and each is alive or has workers, the limit is {MAX_NODES}: node {node} can't be added"
    )]
    TooManyNodes { node: NodeId, nodes: usize },
    #[error("node {node} offers {slots} slots, not 1 to {most}")]
    SlotsOutOfRange { node: NodeId, slots: u32, most: u32 },
    #[error(
        "agent incarnation {given} of node {node} was replaced by {current}: two agents use this node id, or an old one came back"
    )]
    AgentReplaced {
        node: NodeId,
        given: AgentIncarnation,
        current: AgentIncarnation,
    },
    #[error("node {node} is lost: {reason}")]
    NodeIsLost { node: NodeId, reason: String },

    #[error("{given} slots were given to job {job}, it wants {wanted}")]
    WrongSlotCount {
        job: JobId,
        given: usize,
        wanted: u32,
    },
    #[error("node {node} has no slot {slot}: it has {slots}")]
    NoSuchSlot {
        node: NodeId,
        slot: SlotIndex,
        slots: u32,
    },
    #[error("slot {slot} of node {node} is held by {holder}")]
    SlotTaken {
        node: NodeId,
        slot: SlotIndex,
        holder: WorkerRef,
    },
    #[error("slot {slot} of node {node} is named twice")]
    SlotNamedTwice { node: NodeId, slot: SlotIndex },

    #[error("{given} is not the current life of that worker: that is incarnation {current}")]
    StaleIncarnation {
        given: WorkerRef,
        current: Incarnation,
    },
    #[error("{worker} has ended: {how}")]
    WorkerHasEnded { worker: WorkerRef, how: String },
    #[error("{worker} is placed on node {current}, not on node {given}")]
    OnAnotherNode {
        worker: WorkerRef,
        given: NodeId,
        current: NodeId,
    },

    #[error("generation {given} of job {job} is not the current one, {current}")]
    StaleGeneration {
        job: JobId,
        given: Generation,
        current: Generation,
    },
    #[error(
        "attempt {given} did not form generation {generation} of job {job}: attempt {formed} did"
    )]
    WrongAttempt {
        job: JobId,
        generation: Generation,
        given: Attempt,
        formed: Attempt,
    },
    #[error("{worker} is no member of generation {generation}")]
    NotAMember {
        worker: WorkerRef,
        generation: Generation,
    },
    #[error("attempt {given} of job {job} is not newer than attempt {newest}")]
    StaleAttempt {
        job: JobId,
        given: Attempt,
        newest: Attempt,
    },
    #[error("{given} members were given for job {job}, it wants {wanted}")]
    WrongMemberCount {
        job: JobId,
        given: usize,
        wanted: u32,
    },
    #[error("{worker} stands at place {place} with rank {rank}: members must come by rank")]
    RanksOutOfOrder {
        worker: WorkerRef,
        place: usize,
        rank: Rank,
    },
    #[error("{worker} is named as a member twice")]
    MemberNamedTwice { worker: WorkerRef },
    #[error("data shard {shard} of {data_shards} has {owners} owners, not 1")]
    ShardsDoNotTile {
        shard: ShardIndex,
        data_shards: u32,
        owners: usize,
    },
    #[error(
        "a generation of job {job} can't start at step {given}, before its parent's start {parent_start}"
    )]
    StartBeforeParent {
        job: JobId,
        given: StepIndex,
        parent_start: StepIndex,
    },
    #[error("job {job} trains on {pinned}, not on {given}")]
    DatasetDiffers {
        job: JobId,
        given: DatasetFingerprint,
        pinned: DatasetFingerprint,
    },
    #[error("generation {generation} of job {job} has not started")]
    NotStarted { job: JobId, generation: Generation },

    #[error(
        "the evaluation after step {step} looked at {given} samples, the test split has {expected}"
    )]
    EvaluationIncomplete {
        step: StepIndex,
        given: u64,
        expected: u64,
    },
    #[error("the evaluation after step {step} has {correct} correct samples out of {samples}")]
    EvaluationImpossible {
        step: StepIndex,
        correct: u64,
        samples: u64,
    },
    #[error(
        "the evaluation after step {step} counted {given} correct samples, the one recorded first {recorded}"
    )]
    EvaluationDiffers {
        step: StepIndex,
        given: u64,
        recorded: u64,
    },
    #[error("the evaluation after step {given} comes after the one after step {newest}")]
    EvaluationTooLate { given: StepIndex, newest: StepIndex },

    #[error("a checkpoint after step {step} is none of generation {generation}: it starts at step {start} and reaches {}", reach(*.end))]
    CheckpointOutside {
        step: StepIndex,
        generation: Generation,
        start: StepIndex,
        end: Option<StepIndex>,
    },
    #[error(
        "the checkpoint after step {step} has {given} slices, generation {generation} has {members} members: rank {rank} has {slices}, not 1"
    )]
    SlicesIncomplete {
        step: StepIndex,
        generation: Generation,
        given: usize,
        members: usize,
        rank: Rank,
        slices: usize,
    },
    #[error(
        "ranks {first} and {other} differ in the SHA-256 of the weights after step {step}: {first_digest} and {other_digest}"
    )]
    WeightsDiffer {
        step: StepIndex,
        first: Rank,
        first_digest: Digest,
        other: Rank,
        other_digest: Digest,
    },
    #[error("a checkpoint after step {step} is committed with weights {committed}, not {given}")]
    CheckpointDiffers {
        step: StepIndex,
        given: Digest,
        committed: Digest,
    },
    #[error("there is no checkpoint of generation {generation} after step {step}; the newest is after step {}", step_or_none(*.newest))]
    UnknownCheckpoint {
        generation: Generation,
        step: StepIndex,
        newest: Option<StepIndex>,
    },

    #[error("job {job} can't finish with the checkpoint after step {given}: its final one is after step {}", step_or_none(*.last))]
    NotTheLastCheckpoint {
        job: JobId,
        given: StepIndex,
        last: Option<StepIndex>,
    },
    #[error(
        "job {job} can't finish: the manifest of the checkpoint after step {step} is not written"
    )]
    ManifestMissing { job: JobId, step: StepIndex },
    #[error("job {job} can't finish with the evaluation after step {}: its last one is after step {}", step_or_none(*.given), step_or_none(*.last))]
    NotTheLastEvaluation {
        job: JobId,
        given: Option<StepIndex>,
        last: Option<StepIndex>,
    },
}

impl Refusal {
    /// Whether what was refused comes from the past: nothing is wrong, it is only too late.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        if let Self::WrongAttempt { given, formed, .. } = self {
            return given < formed;
        }
        matches!(
            self,
            Self::JobOver { .. }
                | Self::StaleSequence { .. }
                | Self::StaleIncarnation { .. }
                | Self::StaleGeneration { .. }
                | Self::StaleAttempt { .. }
                | Self::EvaluationTooLate { .. }
                | Self::AgentReplaced { .. }
        )
    }
}

fn reach(end: Option<StepIndex>) -> String {
    end.map_or_else(|| "on".to_owned(), |end| format!("step {end}"))
}

fn step_or_none(step: Option<StepIndex>) -> String {
    step.map_or_else(|| "(none)".to_owned(), |step| step.to_string())
}
