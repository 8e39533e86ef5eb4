//! Why a peer or client is not served.

use convoy_common::address::CoordinatorAddress;
use convoy_common::ids::JobId;
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

fn not_leader(leader: Option<&CoordinatorAddress>) -> String {
    match leader {
        Some(leader) => format!("this coordinator does not lead, {leader} does"),
        None => "this coordinator does not lead, and who does is not known yet".to_owned(),
    }
}
