//! Commands between their proposal and their fate.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::error::Rejected;
use crate::output::ProposalId;
use crate::payload::cost;

/// Commands that wait to be put into an entry, and those that are in one.
#[derive(Debug, Default)]
pub(crate) struct Proposals {
    waiting: VecDeque<(ProposalId, Bytes)>,
    waiting_bytes: u64,
    /// With the term of their entry.
    in_flight: BTreeMap<ProposalId, u64>,
    rejected: Vec<(ProposalId, Rejected)>,
}

impl Proposals {
    pub(crate) fn waiting_bytes(&self) -> u64 {
        self.waiting_bytes
    }

    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(crate) fn wait(&mut self, id: ProposalId, data: Bytes) {
        self.waiting_bytes += cost(&data);
        self.waiting.push_back((id, data));
    }

    pub(crate) fn reject(&mut self, id: ProposalId, why: Rejected) {
        self.rejected.push((id, why));
    }

    /// As many commands as fit into one entry, in order.
    pub(crate) fn next_batch(&mut self, most_bytes: u64) -> Vec<(ProposalId, Bytes)> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some((_, data)) = self.waiting.front() {
            bytes += cost(data);
            if bytes > most_bytes && !batch.is_empty() {
                break;
            }
            let Some(command) = self.waiting.pop_front() else {
                break;
            };
            self.waiting_bytes -= cost(&command.1);
            batch.push(command);
        }
        batch
    }

    /// A batch that raft-rs did not take waits again.
    pub(crate) fn put_back(&mut self, batch: Vec<(ProposalId, Bytes)>) {
        for command in batch.into_iter().rev() {
            self.waiting_bytes += cost(&command.1);
            self.waiting.push_front(command);
        }
    }

    pub(crate) fn is_in_flight(&mut self, id: ProposalId, term: u64) {
        self.in_flight.insert(id, term);
    }

    /// A command of ours is committed: its proposal, if somebody still waits.
    pub(crate) fn committed(&mut self, id: ProposalId) -> Option<ProposalId> {
        self.in_flight.remove(&id).map(|_| id)
    }

    /// Nothing of what waits can be proposed any more.
    pub(crate) fn reject_waiting(&mut self, why: &Rejected) {
        self.waiting_bytes = 0;
        let waiting = self.waiting.drain(..);
        let rejected = waiting.map(|(id, _)| (id, why.clone()));
        self.rejected.extend(rejected);
    }

    /// What is on its way in another term than this leader's may or may not be committed. None: this is no leader.
    pub(crate) fn reject_lost(&mut self, leading: Option<u64>) {
        let rejected = &mut self.rejected;
        self.in_flight.retain(|id, term| {
            let is_kept = leading == Some(*term);
            if !is_kept {
                rejected.push((*id, Rejected::Unknown));
            }
            is_kept
        });
    }

    pub(crate) fn take_rejected(&mut self) -> Vec<(ProposalId, Rejected)> {
        std::mem::take(&mut self.rejected)
    }
}
