//! Why a peer or client is not served.

use convoy_common::address::CoordinatorAddress;
use convoy_common::ids::{JobId, NodeId, WorkerRef};
use convoy_state_machine::membership::Named;
use convoy_state_machine::time::Seconds;
use convoy_state_machine::{Outcome, Refusal};

/// Why a peer or client is not served; it is told so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error(transparent)]
    State(Refusal),
    #[error("there is no job {job}")]
    NoSuchJob { job: JobId },
    #[error(
        "{peer} (build {build}) speaks protocol {theirs}, this coordinator speaks {ours}: use the same version of Convoy on both ends"
    )]
    Protocol {
        peer: String,
        build: String,
        theirs: u32,
        ours: u32,
    },
    #[error(transparent)]
    Build(Box<OtherBuild>),
    #[error("{peer} opened a newer session, which replaces this one")]
    Replaced { peer: String },
    #[error("{peer} has left {queued} directives unread: it is too slow, and is dropped")]
    Slow { peer: String, queued: usize },
    #[error("nothing was heard of {peer} for {}", Seconds { ms: *.silent_ms })]
    Silent { peer: String, silent_ms: u64 },
    #[error(
        "this client used this sequence number before, for another command, which had the outcome {outcome:?}: count up"
    )]
    SequenceReused { outcome: Outcome },
    #[error("{0}")]
    Invalid(String),
    #[error("node {node} can't be reached, which has the log of {worker}: {why}")]
    NodeAway {
        node: NodeId,
        worker: WorkerRef,
        why: String,
    },
    #[error("node {node} has no log of {worker} to show: {why}")]
    NoLog {
        node: NodeId,
        worker: WorkerRef,
        why: String,
    },
    #[error("{}", not_leader(leader.as_ref()))]
    NotLeader { leader: Option<CoordinatorAddress> },
    #[error("{}; what was asked for may be done all the same", not_leader(leader.as_ref()))]
    Undecided { leader: Option<CoordinatorAddress> },
    #[error("{0}; try again")]
    NotNow(String),
    #[error("nothing is written down at the moment: {reason}")]
    DiskFull { reason: String },
    #[error("the coordinators stay as they are: {0}")]
    Change(String),
    #[error("the coordinator shuts down")]
    ShuttingDown,
}

/// A worker is of another build than others of its job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given} of job {job} is of build {given_build}, {known} of build {known_build}: the numbers of two builds may differ; \
     install the same version of Convoy on both nodes"
)]
pub(crate) struct OtherBuild {
    pub(super) job: JobId,
    pub(super) given: Named,
    pub(super) given_build: String,
    /// Who is of the other build, in words.
    pub(super) known: String,
    pub(super) known_build: String,
}

fn not_leader(leader: Option<&CoordinatorAddress>) -> String {
    match leader {
        Some(leader) => format!("this coordinator does not lead, {leader} does"),
        None => "this coordinator does not lead, and who does is not known yet".to_owned(),
    }
}
