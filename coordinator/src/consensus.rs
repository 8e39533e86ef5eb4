//! The boundary behind which commands are ordered and kept.
//!
//! The leader hands commands over and applies what comes back, in the order in which it comes back; it cannot tell whether
//! that took a function call or a majority of machines.

mod in_memory;

use convoy_state_machine::Envelope;

pub(crate) use in_memory::InMemoryLog;

/// Names a proposal of this leader until its fate is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ProposalId(pub(crate) u64);

/// A command that is in the log for good.
#[derive(Clone, Debug)]
pub(crate) struct Committed {
    /// The proposal it came from.
    pub(crate) proposal: ProposalId,
    /// What to apply.
    pub(crate) envelope: Envelope,
}

/// A replicated log, as its leader sees it.
pub(crate) trait Log: Send + 'static {
    /// The term of this leadership.
    fn term(&self) -> u64;

    /// Hands a command over; once it is committed, [`Log::next_committed`] gives it back. Never waits.
    fn propose(&mut self, envelope: Envelope) -> ProposalId;

    /// The next committed command that was not given back yet.
    fn next_committed(&mut self) -> Option<Committed>;
}
