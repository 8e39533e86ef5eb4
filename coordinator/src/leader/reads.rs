//! Reads of clients: answered once it is sure that nothing newer was acknowledged elsewhere.

use std::collections::BTreeMap;

use convoy_consensus::Rejected;

use super::{ClientRequest, Leader, Refused};
use crate::consensus::{Log, ReadId};

/// Reads that wait.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// For the others to confirm that this leader still leads.
    unconfirmed: BTreeMap<ReadId, ClientRequest>,
    /// For the state to be the one after an entry.
    confirmed: BTreeMap<u64, Vec<ClientRequest>>,
}

impl<L: Log> Leader<L> {
    /// Answers `request` later, from a state that holds everything that was acknowledged before now.
    pub(super) fn read(&mut self, request: ClientRequest) {
        let read = self.log.read();
        self.reads.unconfirmed.insert(read, request);
    }

    pub(super) fn read_ready(&mut self, read: ReadId, answer: Result<u64, Rejected>) {
        let Some(request) = self.reads.unconfirmed.remove(&read) else {
            return;
        };
        match answer {
            // A read that was confirmed for the leader of before.
            Ok(_) if !self.leads() => request.refuse(self.not_leader()),
            Ok(index) if index <= self.applied => self.serve(request),
            Ok(index) => {
                let waiting = self.reads.confirmed.entry(index).or_default();
                waiting.push(request);
            }
            Err(why) => request.refuse(self.refused(why)),
        }
    }

    /// The state became newer.
    pub(super) fn serve_reads(&mut self) {
        while let Some(first) = self.reads.confirmed.first_entry()
            && *first.key() <= self.applied
        {
            for request in first.remove() {
                self.serve(request);
            }
        }
    }

    /// Reads whose answer would come from a leader that is none.
    pub(super) fn refuse_reads(&mut self, refused: &Refused) {
        let reads = std::mem::take(&mut self.reads);
        let unconfirmed = reads.unconfirmed.into_values();
        for request in unconfirmed.chain(reads.confirmed.into_values().flatten()) {
            request.refuse(refused.clone());
        }
    }
}
