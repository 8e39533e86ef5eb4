//! What the step needs of a collective: values of all members made one, early started and late awaited.

use std::sync::Arc;

use convoy_common::ids::{Generation, Phase, StepIndex};
use convoy_torch::Region;

/// Which operation of the job a reduction is; members that disagree must not add their values up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReduceTag {
    /// The running generation.
    pub generation: Generation,
    /// Completed optimizer updates.
    pub step: StepIndex,
    /// Training or evaluation.
    pub phase: Phase,
}

/// A reduction failed: the group is broken, or was aborted.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct ReduceError(pub String);

/// How the values of two members become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Addition.
    Sum,
    /// The larger one.
    Max,
}

/// Memory that is reduced, and how.
#[derive(Clone, Debug)]
pub struct Reduction {
    /// The memory.
    pub region: Arc<Region>,
    /// What is done with it.
    pub operation: Operation,
}

impl Reduction {
    pub(crate) fn sum(region: Arc<Region>) -> Self {
        let operation = Operation::Sum;
        Self { region, operation }
    }

    pub(crate) fn max(region: Arc<Region>) -> Self {
        let operation = Operation::Max;
        Self { region, operation }
    }
}

/// Reduces regions over all members. They are known by their place in the list that [`crate::Trainer::reductions`] gives.
pub trait Reducer: Send + Sync {
    /// Starts the reduction of a region that was lent; every member submits the same regions in the same order.
    ///
    /// # Errors
    /// If the group is broken.
    fn submit(&self, region: usize, tag: ReduceTag) -> Result<(), ReduceError>;

    /// Waits until the result is in a region that was submitted. Whatever it returns, the region is no longer touched.
    ///
    /// # Errors
    /// If the group broke or was aborted.
    fn wait(&self, region: usize) -> Result<(), ReduceError>;
}

/// A worker alone: everything is reduced as it stands.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Alone;

impl Reducer for Alone {
    fn submit(&self, _region: usize, _tag: ReduceTag) -> Result<(), ReduceError> {
        Ok(())
    }

    fn wait(&self, _region: usize) -> Result<(), ReduceError> {
        Ok(())
    }
}

/// The reducer of a worker that has no peers.
#[must_use]
pub fn alone() -> Arc<dyn Reducer> {
    Arc::new(Alone)
}
