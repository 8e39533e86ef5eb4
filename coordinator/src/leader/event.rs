//! Everything that can happen to the leader, in its own words.

use std::sync::Arc;

use convoy_common::ids::{
    Attempt, Generation, JobId, NodeId, Position, ReplicaId as MemberId, SlotIndex, StepIndex,
    WorkerRef,
};
use convoy_consensus::ReplicaId;
use convoy_state_machine::command::{AgentRef, Origin};
use convoy_state_machine::job::Obituary;
use convoy_state_machine::membership::{Plan, Standing};
use convoy_state_machine::node::NodeOffer;
use convoy_state_machine::records::{
    Checkpoint, CheckpointKey, Digest, Evaluation, Progress, SliceReport,
};
use convoy_state_machine::replica::Replica as Member;
use convoy_state_machine::spec::StoredSpec;
use convoy_state_machine::version::ClusterVersion;
use convoy_state_machine::view::{JobSummary, NodeView};
use tokio::sync::{oneshot, watch};

use super::{LogPart, LogWanted, NumberedView, Outbound, Page, Refused, SessionId, SubmittedSpec};
use crate::consensus::LogEvent;

/// Everything that can happen.
#[derive(Debug)]
pub(crate) enum Event {
    /// The log has something to say, in this order.
    Log(Vec<LogEvent>),
    Client(ClientRequest),
    Member(MemberRequest),
    /// Another coordinator says who it is; one that is too old for the cluster is refused.
    Introduced {
        replica: MemberId,
        member: Member,
        reply: Reply<()>,
    },
    AgentAttach(AgentAttach),
    AgentReport {
        node: NodeId,
        session: SessionId,
        report: AgentReport,
    },
    AgentDetached {
        node: NodeId,
        session: SessionId,
        why: Detached,
    },
    WorkerAttach(WorkerAttach),
    WorkerReport {
        worker: WorkerRef,
        session: SessionId,
        report: WorkerReport,
    },
    WorkerDetached {
        worker: WorkerRef,
        session: SessionId,
        why: Detached,
    },
    Tick,
    Shutdown,
}

/// Where an answer goes. Whoever asked may have gone away meanwhile.
#[derive(Debug)]
pub(crate) struct Reply<T>(pub(crate) oneshot::Sender<Result<T, Refused>>);

impl Event {
    /// Tells whoever waits for an answer that there is none here.
    pub(super) fn refuse(self, why: Refused) {
        match self {
            Self::Client(request) => request.refuse(why),
            Self::Member(request) => request.refuse(why),
            Self::AgentAttach(attach) => attach.reply.give(Err(why)),
            Self::WorkerAttach(attach) => attach.reply.give(Err(why)),
            Self::Introduced { reply, .. } => reply.give(Err(why)),
            Self::Log(_)
            | Self::AgentReport { .. }
            | Self::AgentDetached { .. }
            | Self::WorkerReport { .. }
            | Self::WorkerDetached { .. }
            | Self::Tick
            | Self::Shutdown => {}
        }
    }
}

impl<T> Reply<T> {
    pub(super) fn give(self, answer: Result<T, Refused>) {
        let _ = self.0.send(answer);
    }
}

/// What a client asks.
#[derive(Debug)]
pub(crate) enum ClientRequest {
    Submit {
        submission: Box<Submission>,
        reply: Reply<JobId>,
    },
    Cancel {
        job: JobId,
        reason: String,
        origin: Option<Origin>,
        reply: Reply<()>,
    },
    Annotate {
        note: Box<Note>,
        reply: Reply<()>,
    },
    Describe {
        job: JobId,
        reply: Reply<NumberedView>,
    },
    Watch {
        job: JobId,
        reply: Reply<watch::Receiver<NumberedView>>,
    },
    Spec {
        job: JobId,
        reply: Reply<SubmittedSpec>,
    },
    ReadLog {
        wanted: LogWanted,
        reply: Reply<LogPart>,
    },
    ListJobs {
        open_only: bool,
        after: u64,
        reply: Reply<Page<JobSummary>>,
    },
    ListNodes {
        after: Option<NodeId>,
        reply: Reply<Page<NodeView>>,
    },
}

impl ClientRequest {
    pub(super) fn refuse(self, why: Refused) {
        match self {
            Self::Submit { reply, .. } => reply.give(Err(why)),
            Self::Cancel { reply, .. } | Self::Annotate { reply, .. } => reply.give(Err(why)),
            Self::Describe { reply, .. } => reply.give(Err(why)),
            Self::Watch { reply, .. } => reply.give(Err(why)),
            Self::Spec { reply, .. } => reply.give(Err(why)),
            Self::ReadLog { reply, .. } => reply.give(Err(why)),
            Self::ListJobs { reply, .. } => reply.give(Err(why)),
            Self::ListNodes { reply, .. } => reply.give(Err(why)),
        }
    }
}

/// What is asked about the coordinators themselves. Whoever is `departed` had a folder, and does not belong to the group.
#[derive(Debug)]
pub(crate) enum MemberRequest {
    /// What this coordinator knows, leader or not.
    Known { reply: Reply<KnownMembers> },
    Add {
        replica: ReplicaId,
        /// `HOST:PORT`
        address: String,
        departed: Vec<ReplicaId>,
        reply: Reply<()>,
    },
    Remove {
        replica: ReplicaId,
        departed: Vec<ReplicaId>,
        reply: Reply<()>,
    },
    Replace {
        old: ReplicaId,
        new: ReplicaId,
        /// `HOST:PORT` of the new one.
        address: String,
        departed: Vec<ReplicaId>,
        reply: Reply<ReplaceProgress>,
    },
}

impl MemberRequest {
    pub(super) fn is_for_anyone(&self) -> bool {
        matches!(self, Self::Known { .. })
    }

    fn refuse(self, why: Refused) {
        match self {
            Self::Known { reply } => reply.give(Err(why)),
            Self::Add { reply, .. } | Self::Remove { reply, .. } => reply.give(Err(why)),
            Self::Replace { reply, .. } => reply.give(Err(why)),
        }
    }
}

/// The coordinators in the state.
#[derive(Clone, Debug)]
pub(crate) struct KnownMembers {
    pub(crate) version: ClusterVersion,
    pub(crate) members: Vec<(ReplicaId, Member)>,
}

/// How far a replacement is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReplaceProgress {
    Done,
    /// Asked again, the next step is done.
    WaitsFor(String),
}

#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) origin: Origin,
    pub(crate) spec: StoredSpec,
    pub(crate) workers: u32,
}

#[derive(Debug)]
pub(crate) struct Note {
    pub(crate) job: JobId,
    pub(crate) key: String,
    pub(crate) value: Option<String>,
    pub(crate) origin: Option<Origin>,
}

/// How a session ended on the peer's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Detached {
    /// It closed, or its connection did.
    Ended(String),
    /// It said something that can't be understood.
    Invalid(String),
}

#[derive(Debug)]
pub(crate) struct AgentAttach {
    pub(crate) hello: AgentHello,
    pub(crate) session: SessionId,
    pub(crate) outbound: Outbound<AgentDirective>,
    pub(crate) reply: Reply<()>,
}

#[derive(Clone, Debug)]
pub(crate) struct AgentHello {
    pub(crate) agent: AgentRef,
    pub(crate) offer: NodeOffer,
}

#[derive(Clone, Debug)]
pub(crate) enum AgentReport {
    Heartbeat,
    Started {
        worker: WorkerRef,
        pid: u32,
        log_path: String,
    },
    Exited {
        worker: WorkerRef,
        obituary: Obituary,
    },
    Leaving {
        reason: String,
    },
    LogRead {
        request: u64,
        /// Or why there is nothing.
        part: Result<LogPart, String>,
    },
}

#[derive(Clone, Debug)]
pub(crate) enum AgentDirective {
    Welcome { term: u64 },
    Desired(Vec<DesiredWorker>),
    Shutdown { reason: String },
    ReadLog { request: u64, wanted: LogWanted },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DesiredWorker {
    pub(crate) worker: WorkerRef,
    pub(crate) slot: SlotIndex,
    pub(crate) spec_json: Arc<str>,
}

#[derive(Debug)]
pub(crate) struct WorkerAttach {
    pub(crate) hello: WorkerHello,
    pub(crate) session: SessionId,
    pub(crate) outbound: Outbound<WorkerDirective>,
    pub(crate) reply: Reply<()>,
}

#[derive(Clone, Debug)]
pub(crate) struct WorkerHello {
    pub(crate) protocol_version: u32,
    pub(crate) build: String,
    pub(crate) worker: WorkerRef,
    pub(crate) pid: u32,
    pub(crate) data_address: String,
}

#[derive(Clone, Debug)]
pub(crate) enum WorkerReport {
    Heartbeat,
    Stopped {
        attempt: Attempt,
        standing: Standing,
    },
    Ready {
        attempt: Attempt,
        state_digest: Digest,
    },
    Broken {
        attempt: Attempt,
        reason: String,
    },
    Progress(Progress),
    Evaluated {
        generation: Generation,
        evaluation: Evaluation,
    },
    SliceWritten(SliceWritten),
    ManifestWritten {
        generation: Generation,
        step: StepIndex,
    },
    Trained {
        generation: Generation,
        position: Position,
    },
    Failed {
        reason: String,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct SliceWritten {
    pub(crate) key: CheckpointKey,
    pub(crate) report: SliceReport,
}

#[derive(Clone, Debug)]
pub(crate) enum WorkerDirective {
    Welcome {
        term: u64,
    },
    Stop {
        attempt: Attempt,
    },
    Prepare {
        attempt: Attempt,
        plan: Plan,
    },
    Go {
        attempt: Attempt,
        generation: Generation,
    },
    WriteManifest {
        job: JobId,
        checkpoint: Checkpoint,
    },
    Finish {
        reason: String,
    },
}
