//! What every all-reduce group can do.

use std::fmt;
use std::sync::Arc;

use convoy_common::ids::Rank;

use crate::abort::AbortHandle;
use crate::buffer::SharedBuffer;
use crate::element::ReduceOp;
use crate::error::CollectiveError;

/// Where in training an operation belongs. It travels with every operation; ranks that differ break the collective
/// instead of adding numbers that do not belong together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpTag {
    /// The generation that does it.
    pub generation: u64,
    /// The step it belongs to.
    pub step: u64,
    /// The phase of that step, numbered by the caller; [`verify`](crate::verify) uses 255.
    pub phase: u8,
    /// Which buffer of that phase.
    pub bucket: u32,
}

impl fmt::Display for OpTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "generation {} step {} phase {} bucket {}",
            self.generation, self.step, self.phase, self.bucket
        )
    }
}

/// When a submitted buffer holds its values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadyEvent {
    /// It does so already.
    #[default]
    Immediate,
}

/// A submitted operation; belongs to the collective that gave it out.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the buffer stays lent until the ticket was waited for"]
pub struct Ticket(pub(crate) u64);

/// An all-reduce group of one attempt, as one of its ranks sees it.
///
/// All ranks submit the same operations in the same order; several may be in flight. Each operation leaves the same
/// bytes in every rank's buffer. An operation is complete nowhere before every rank has submitted it, so that a rank may
/// leave after its last one; only an operation without elements synchronises nobody.
pub trait Collective: Send + Sync {
    /// Queues an all-reduce of `buffer`, in place. Never waits for the network and allocates nothing.
    ///
    /// # Errors
    /// The error that broke the collective; or too many operations in flight, which breaks nothing.
    fn submit(
        &self,
        buffer: Arc<dyn SharedBuffer>,
        op: ReduceOp,
        tag: OpTag,
        ready: ReadyEvent,
    ) -> Result<Ticket, CollectiveError>;

    /// Returns when the operation is complete, or when it never will be; in both cases its buffer is not touched any more.
    ///
    /// # Errors
    /// The error that broke the collective before the operation was complete. The buffer's content is undefined then.
    fn wait(&self, ticket: Ticket) -> Result<(), CollectiveError>;

    /// Ends the collective from any thread.
    fn abort_handle(&self) -> AbortHandle;

    /// This member's place, `0..world`.
    fn rank(&self) -> Rank;

    /// How many members there are, at least 1.
    fn world(&self) -> u32;
}
