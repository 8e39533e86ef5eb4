//! A log of one node that forgets: commands are committed at once and kept nowhere but in the state.

use std::collections::VecDeque;

use convoy_consensus::{MembershipChange, Role};
use convoy_journal::SnapshotMeta;
use convoy_state_machine::{Cluster, Envelope};

use super::{Log, LogEvent, ProposalId, ReadId};

/// The term of its leader, which it has from the beginning.
pub(crate) const TERM: u64 = 1;

/// A log for stories about one leader.
#[derive(Debug)]
pub(crate) struct InMemoryLog {
    numbers: u64,
    index: u64,
    events: VecDeque<LogEvent>,
}

impl Default for InMemoryLog {
    fn default() -> Self {
        let leads = LogEvent::RoleChanged(Role::Leader {
            term: TERM,
            is_settled: true,
        });
        Self {
            numbers: 0,
            index: 0,
            events: [leads].into(),
        }
    }
}

impl InMemoryLog {
    fn next(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}

impl Log for InMemoryLog {
    fn propose(&mut self, envelope: Envelope) -> ProposalId {
        let id = ProposalId(self.next());
        self.index += 1;
        let proposal = Some(id);
        self.events
            .push_back(LogEvent::Committed { proposal, envelope });
        self.events.push_back(LogEvent::Applied(self.index));
        id
    }

    fn read(&mut self) -> ReadId {
        let id = ReadId(self.next());
        let ready = LogEvent::ReadReady(id, Ok(self.index));
        self.events.push_back(ready);
        id
    }

    fn change(&mut self, _: MembershipChange) -> ProposalId {
        let id = ProposalId(self.next());
        self.events.push_back(LogEvent::Changed(id));
        id
    }

    fn hand_over(&mut self) {}

    fn save(&mut self, _: SnapshotMeta, _: Cluster) {}

    fn publish_addresses(&mut self, _: &Cluster) {}

    fn next_event(&mut self) -> Option<LogEvent> {
        self.events.pop_front()
    }
}
