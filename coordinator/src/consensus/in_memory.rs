//! A log of one node that forgets: commands are committed at once and kept nowhere but in the state.

use std::collections::VecDeque;

use convoy_state_machine::Envelope;

use super::{Committed, Log, ProposalId};

/// The log of an embedded coordinator, whose state ends with its process.
#[derive(Debug, Default)]
pub(crate) struct InMemoryLog {
    proposed: u64,
    committed: VecDeque<Committed>,
}

impl Log for InMemoryLog {
    fn term(&self) -> u64 {
        1
    }

    fn propose(&mut self, envelope: Envelope) -> ProposalId {
        self.proposed += 1;
        let proposal = ProposalId(self.proposed);
        self.committed.push_back(Committed { proposal, envelope });
        proposal
    }

    fn next_committed(&mut self) -> Option<Committed> {
        self.committed.pop_front()
    }
}
