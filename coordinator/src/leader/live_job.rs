//! What a leader knows about one job beyond the state, and may lose.

use std::collections::{BTreeMap, BTreeSet};

use convoy_common::ids::{WorkerId, WorkerRef};
use convoy_state_machine::Refusal;
use convoy_state_machine::cause::Evidence;
use convoy_state_machine::membership::Forming;
use convoy_state_machine::records::Progress;
use convoy_state_machine::slices::SliceCollector;
use convoy_state_machine::time::Moment;

/// What a leader knows about one job beyond the state.
#[derive(Debug, Default)]
pub(super) struct LiveJob {
    /// When this leader saw that its workers have slots.
    pub(super) placed_at: Option<Moment>,
    /// Whether all its workers were attached at one time.
    pub(super) was_complete: bool,
    /// When the first attempt at the next generation began: attempts that follow on it get no more time.
    pub(super) forming_since: Option<Moment>,
    /// The attempt that is going on.
    pub(super) forming: Option<Forming>,
    /// Why the leader's last decision was refused, if it was.
    pub(super) refused: Option<Refusal>,
    /// Slices of checkpoints that are not complete.
    pub(super) slices: SliceCollector,
    /// The furthest progress that a member reported, and who that was.
    pub(super) progress: Option<(WorkerRef, Progress)>,
    /// How often each worker says that it waited for the coordinators.
    pub(super) coordinator_waits: BTreeMap<WorkerId, u64>,
    /// When progress was recorded in the log.
    pub(super) progress_recorded_at: Option<Moment>,
    /// Workers that are done with every step, evaluation and checkpoint.
    pub(super) trained: BTreeSet<WorkerId>,
    /// When the last of them was.
    pub(super) all_trained_at: Option<Moment>,
    /// What is known about its trouble.
    pub(super) evidence: Evidence,
    /// When this leader saw that it is over.
    pub(super) over_since: Option<Moment>,
}
