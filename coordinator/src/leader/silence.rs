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

/// Failure detector by silence. What is heard is never logged; only the verdict is.
#[derive(Debug)]
pub(super) struct SilenceDetector {
    timeout_ms: u64,
    tick_ms: u64,
    last_tick: Option<Moment>,
    heard: BTreeMap<Peer, Heard>,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    at: Moment,
    /// Silence that is borne beyond the timeout.
    grace_ms: u64,
}

impl SilenceDetector {
    /// Peers are lost after `timeout_ms` of silence; ticks are expected every `tick_ms`.
    pub(super) fn new(timeout_ms: u64, tick_ms: u64) -> Self {
        Self {
            timeout_ms,
            tick_ms,
            last_tick: None,
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
    ///
    /// A tick that comes late means that this process itself did not run, and heard nothing for that reason: all
    /// deadlines move by as much.
    pub(super) fn tick(&mut self, now: Moment) -> Vec<(Peer, u64)> {
        let since_last = self.last_tick.map_or(0, |last| now.ms_since(last));
        let late_ms = since_last.saturating_sub(2 * self.tick_ms);
        self.last_tick = Some(now);
        if late_ms > 0 {
            self.heard
                .values_mut()
                .for_each(|heard| heard.at = heard.at.plus_ms(late_ms));
        }
        let timeout_ms = self.timeout_ms;
        let lost = self.heard.extract_if(.., |_, heard| {
            now.ms_since(heard.at) >= timeout_ms + heard.grace_ms
        });
        lost.map(|(peer, heard)| (peer, now.ms_since(heard.at)))
            .collect()
    }
}
