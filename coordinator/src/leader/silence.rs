//! Who has not been heard for too long.

use std::collections::BTreeMap;

use convoy_common::ids::{NodeId, WorkerRef};
use convoy_state_machine::time::Moment;

/// Someone who sends heartbeats. Nodes come first, so that a lost node explains its workers' silence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Peer {
    Node(NodeId),
    Worker(WorkerRef),
}

/// Failure detector by silence. What is heard is never logged; only the verdict is. Its time is that of a
/// [`super::clock::PatientClock`], on which a leader that did not run finds nobody silent.
#[derive(Debug)]
pub(super) struct SilenceDetector {
    timeout_ms: u64,
    heard: BTreeMap<Peer, Heard>,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    at: Moment,
    /// Silence that is borne beyond the timeout.
    grace_ms: u64,
}

impl SilenceDetector {
    /// Peers are lost after `timeout_ms` of silence.
    pub(super) fn new(timeout_ms: u64) -> Self {
        Self {
            timeout_ms,
            heard: BTreeMap::new(),
        }
    }

    /// Something was heard of `peer`, which is watched from now on.
    pub(super) fn heard(&mut self, peer: Peer, now: Moment) {
        let heard = Heard {
            at: now,
            grace_ms: 0,
        };
        self.heard.insert(peer, heard);
    }

    /// `peer` was heard by somebody else until now, and gets one timeout more to be heard here.
    pub(super) fn expect(&mut self, peer: Peer, now: Moment) {
        let heard = Heard {
            at: now,
            grace_ms: self.timeout_ms,
        };
        self.heard.insert(peer, heard);
    }

    /// Stops watching `peer`.
    pub(super) fn forget(&mut self, peer: &Peer) {
        self.heard.remove(peer);
    }

    /// Who is lost, with the milliseconds of their silence; they are watched no longer.
    pub(super) fn lost(&mut self, now: Moment) -> Vec<(Peer, u64)> {
        let timeout_ms = self.timeout_ms;
        let lost = self.heard.extract_if(.., |_, heard| {
            now.ms_since(heard.at) >= timeout_ms + heard.grace_ms
        });
        lost.map(|(peer, heard)| (peer, now.ms_since(heard.at)))
            .collect()
    }
}
