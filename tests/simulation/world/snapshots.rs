//! Snapshots: written beside the replica's work, sent to followers, put in place there.

use convoy_consensus::{ReplicaId, SnapshotToSend};
use convoy_journal::SnapshotMeta;
use convoy_proto::raft::v1;

use super::{Event, World};
use crate::checks::{Checked, violated};
use crate::node::read_snapshot;

/// Most time that writing or sending one takes, microseconds.
const SNAPSHOT_US: u64 = 120_000;

/// A snapshot on its way to a follower.
pub(crate) struct Transfer {
    from: u64,
    from_life: u64,
    to: u64,
    meta: SnapshotMeta,
    payload: Vec<u8>,
    message: v1::RaftMessage,
}

impl World {
    pub(super) fn begin_snapshot(&mut self, id: u64) -> Checked {
        let Some(node) = self.nodes.get_mut(&id) else {
            return Ok(());
        };
        let life = node.life;
        let Some(running) = node
            .running
            .as_mut()
            .filter(|running| running.writing.is_none())
        else {
            return Ok(());
        };
        match running.begin_snapshot() {
            Ok(()) => {
                let wait_us = self.random.below(SNAPSHOT_US);
                self.after(wait_us, Event::SnapshotFinished { node: id, life });
                Ok(())
            }
            Err(why) => self.snapshot_failed(id, &why),
        }
    }

    pub(super) fn snapshot_finished(&mut self, id: u64, life: u64) -> Checked {
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.life == life) else {
            return Ok(());
        };
        let Some(running) = &mut node.running else {
            return Ok(());
        };
        let Some(writing) = running.writing.take() else {
            return Ok(());
        };
        let meta = writing.meta;
        if let Err(why) = writing.writer.finish() {
            return self.snapshot_failed(id, &why.to_string());
        }
        let index = meta.index;
        match running.replica.snapshot_written(meta) {
            Ok(()) => {
                self.see("snapshots written");
                self.tell(|| format!("{id} has a snapshot at {index}"));
                Ok(())
            }
            Err(why) => self.stopped(id, &why),
        }
    }

    /// A snapshot that could not be written costs nothing; a failing disk shows again at the next write.
    fn snapshot_failed(&mut self, id: u64, why: &str) -> Checked {
        self.tell(|| format!("{id} cannot write a snapshot: {why}"));
        let Some(node) = self.nodes.get(&id) else {
            return Ok(());
        };
        let is_crashed = node.disk.has_crashed();
        let may_fail = is_crashed || node.is_lost || node.is_full || node.fails_syncs;
        if !may_fail {
            return violated(format!("replica {id} cannot write a snapshot: {why}"));
        }
        if is_crashed {
            self.crash(id, true);
        }
        Ok(())
    }

    pub(super) fn send_snapshot(&mut self, from: u64, snapshot: SnapshotToSend) {
        let SnapshotToSend {
            to: ReplicaId(to),
            meta,
            message,
        } = snapshot;
        let Some(node) = self.nodes.get(&from) else {
            return;
        };
        let from_life = node.life;
        let Some(running) = &node.running else {
            return;
        };
        let read = read_snapshot(&running.replica, &meta);
        let delay_us = self.network.delay(&mut self.random) + self.random.below(SNAPSHOT_US);
        let is_lost =
            self.network.is_cut(from, to) || self.random.chance(self.plan.network.loss_permille);
        let index = meta.index;
        self.tell(|| format!("{from} sends the snapshot at {index} to {to}"));
        match read {
            Ok(payload) if !is_lost || self.is_calm() => {
                let transfer = Transfer {
                    from,
                    from_life,
                    to,
                    meta,
                    payload,
                    message,
                };
                self.after(delay_us, Event::SnapshotArrives(Box::new(transfer)));
            }
            // A newer one has taken its place, or the connection breaks.
            Ok(_) | Err(_) => {
                self.see("snapshots that did not arrive");
                self.report(from, from_life, to, false);
            }
        }
    }

    pub(super) fn snapshot_arrives(&mut self, transfer: Transfer) -> Checked {
        let Transfer {
            from,
            from_life,
            to,
            meta,
            payload,
            message,
        } = transfer;
        let Some(running) = self.nodes.get(&to).and_then(|node| node.running.as_ref()) else {
            self.report(from, from_life, to, false);
            return Ok(());
        };
        if let Err(why) = running.place_snapshot(&meta, &payload) {
            self.report(from, from_life, to, false);
            return self.snapshot_failed(to, &why);
        }
        self.deliver(message)?;
        // The answer may be lost where the snapshot was not.
        let is_heard = self.is_calm() || !self.random.chance(self.plan.network.loss_permille);
        self.report(from, from_life, to, is_heard);
        Ok(())
    }

    fn report(&mut self, node: u64, life: u64, to: u64, is_in_place: bool) {
        let delay_us = self.network.delay(&mut self.random);
        self.after(
            delay_us,
            Event::SnapshotReported {
                node,
                life,
                to,
                is_in_place,
            },
        );
    }

    pub(super) fn snapshot_reported(
        &mut self,
        id: u64,
        life: u64,
        to: u64,
        is_in_place: bool,
    ) -> Checked {
        let node = self.nodes.get_mut(&id).filter(|node| node.life == life);
        if let Some(running) = node.and_then(|node| node.running.as_mut()) {
            running.replica.snapshot_sent(ReplicaId(to), is_in_place);
            self.due(id);
        }
        Ok(())
    }
}
