//! What goes into [`crate::Membership`] and what comes out.

use convoy_common::ids::{Attempt, Generation, Position, Rank, ShardIndex, StepIndex, WorkerRef};

/// A member of an attempt, as all members are told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub worker: WorkerRef,
    /// Its place in the ring.
    pub rank: Rank,
    /// Where its ring listener is, `host:port`.
    pub data_address: String,
    /// The data shards it owns, ascending.
    pub shards: Vec<ShardIndex>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The coordinator begins an attempt.
    Stop {
        /// Which.
        attempt: Attempt,
    },
    /// The coordinator names the members of an attempt, in the order of ranks.
    Prepare {
        /// Which.
        attempt: Attempt,
        /// Who.
        members: Vec<Member>,
        /// Completed steps to go on from.
        start: StepIndex,
        /// The generation it follows.
        parent: Generation,
    },
    /// The generation is committed.
    Go {
        /// The attempt that formed it.
        attempt: Attempt,
        /// Its number.
        generation: Generation,
    },
    /// The job is over.
    Finish {
        /// Why.
        reason: String,
    },
    /// The group stands and passed its check.
    CollectiveBuilt {
        /// Of which attempt.
        attempt: Attempt,
        /// Digest of the replicated state.
        state_digest: [u8; 32],
    },
    /// The group could not be built, or broke.
    CollectiveFailed {
        /// Of which attempt.
        attempt: Attempt,
        /// Why.
        reason: String,
    },
    /// Every step, evaluation and checkpoint is done.
    TrainingDone {
        /// In which generation.
        generation: Generation,
        /// Where it ended.
        position: Position,
    },
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Tell the coordinator.
    Report(Report),
    /// Abort and leave whatever group there is, before anything else.
    LeaveCollective {
        /// Why.
        reason: String,
    },
    /// Build the group of an attempt.
    BuildCollective {
        /// Which.
        attempt: Attempt,
        /// The members, in the order of ranks.
        members: Vec<Member>,
        /// The own place among them.
        own: usize,
    },
    /// Train.
    StartTraining {
        /// In the group of this attempt.
        attempt: Attempt,
        /// This generation.
        generation: Generation,
        /// From this many completed steps on.
        start: StepIndex,
    },
    /// End the process with success.
    Exit {
        /// Why.
        reason: String,
    },
    /// The input was ignored.
    Ignored {
        /// What, and why.
        what: String,
    },
}

/// What the coordinator must hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The attempt is adopted; to be sent with position and digests once the group is left.
    Stopped {
        /// Which.
        attempt: Attempt,
    },
    /// The group of the attempt stands.
    Ready {
        /// Which.
        attempt: Attempt,
        /// Digest of the replicated state.
        state_digest: [u8; 32],
    },
    /// The group is broken, or can't be built.
    Broken {
        /// Which attempt's.
        attempt: Attempt,
        /// The running generation; 0 before the first.
        generation: Generation,
        /// Why.
        reason: String,
    },
    /// Everything of the generation is done.
    Trained {
        /// Which.
        generation: Generation,
        /// Where it ended.
        position: Position,
    },
}
