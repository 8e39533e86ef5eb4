//! What goes wrong, until it doesn't any more.

use convoy_consensus::ReplicaId;

use super::{CALM_US, Event, World};
use crate::checks::Checked;
use crate::node::running;

/// A crash that waits for an operation on the disk comes anyway after so long.
const CRASH_ANYWAY_US: u64 = 150_000;

impl World {
    pub(super) fn begin_faults(&mut self) {
        self.again(self.plan.crash.every_us, Event::Crash);
        self.again(self.plan.network.partition_every_us, Event::Partition);
        self.again(self.plan.members_every_us, Event::ChangeMembers);
        self.again(self.plan.transfer_every_us, Event::TransferLeadership);
        self.again(self.plan.full_disk_every_us, Event::FillDisk);
        if self.plan.loses_a_disk {
            let when_us = self.random.below(self.plan.disturbed_us);
            self.after(when_us, Event::LoseDisk);
        }
    }

    /// The event comes again, at some distance.
    fn again(&mut self, every_us: Option<u64>, event: Event) {
        if let Some(every_us) = every_us {
            let wait_us = self.random.between(every_us / 4, every_us * 7 / 4);
            self.after(wait_us, event);
        }
    }

    pub(super) fn fault(&mut self, event: Event) -> Checked {
        if self.is_calm() {
            return Ok(());
        }
        match event {
            Event::Crash => {
                self.again(self.plan.crash.every_us, Event::Crash);
                self.crash_somebody();
            }
            Event::CrashAnyway { node, life } => {
                let is_same = |id: u64| {
                    self.nodes
                        .get(&id)
                        .is_some_and(|node| node.life == life && node.running.is_some())
                };
                if is_same(node) {
                    self.crash(node, true);
                }
            }
            Event::Partition => {
                self.again(self.plan.network.partition_every_us, Event::Partition);
                self.partition();
            }
            Event::Mend => {
                self.tell(|| "the network is mended".to_owned());
                self.network.mend();
            }
            Event::ChangeMembers => {
                self.again(self.plan.members_every_us, Event::ChangeMembers);
                return self.change_members();
            }
            Event::TransferLeadership => {
                self.again(self.plan.transfer_every_us, Event::TransferLeadership);
                self.transfer_leadership();
            }
            Event::FillDisk => {
                self.again(self.plan.full_disk_every_us, Event::FillDisk);
                self.fill_disk();
            }
            Event::LoseDisk => self.lose_disk(),
            Event::Tick { .. }
            | Event::Advance { .. }
            | Event::Deliver(_)
            | Event::Ask { .. }
            | Event::Request { .. }
            | Event::Answer { .. }
            | Event::LosePatience { .. }
            | Event::Read { .. }
            | Event::SnapshotArrives(_)
            | Event::SnapshotReported { .. }
            | Event::SnapshotFinished { .. }
            | Event::Restart { .. }
            | Event::EmptyDisk { .. }
            | Event::CalmDown => {}
        }
        Ok(())
    }

    fn partition(&mut self) {
        let (ids, leader) = (self.node_ids(), self.leader());
        let what = self.network.partition(&mut self.random, &ids, leader);
        if let Some(leader) = leader {
            // Also without a reason: a connection may break while both of its ends live on.
            self.lose_connections(leader, 200);
        }
        self.see("partitions");
        self.tell(|| what);
        let lasts_us = self.random.between(20_000, 900_000);
        self.after(lasts_us, Event::Mend);
    }

    fn crash_somebody(&mut self) {
        let running = self.running_ids();
        if running.is_empty() {
            return;
        }
        let id = match self.leader() {
            Some(leader) if self.random.chance(400) => leader,
            _ => self.random.pick(&running),
        };
        let crash = self.plan.crash.clone();
        let is_midway = self.random.chance(crash.midway_permille);
        let sync_fails = self.random.chance(crash.sync_fails_permille);
        let (changes, syncs) = (self.random.below(12), self.random.below(4));
        let with_machine = self.random.chance(crash.machine_permille);
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        let life = node.life;
        if sync_fails {
            node.fails_syncs = true;
            node.disk.fail_sync_after(Some(syncs));
            self.tell(|| format!("a sync of {id} will fail"));
        } else if is_midway {
            node.disk.crash_after(Some(changes));
            self.tell(|| format!("{id} will crash after {changes} changes of its disk"));
        } else {
            self.crash(id, with_machine);
            return;
        }
        self.after(CRASH_ANYWAY_US, Event::CrashAnyway { node: id, life });
    }

    /// The process ends, and comes back later.
    pub(super) fn crash(&mut self, id: u64, with_machine: bool) {
        let down_us = if self.is_calm() {
            1
        } else {
            self.random.below(self.plan.crash.most_down_us)
        };
        self.tell(|| {
            format!(
                "{id} crashes{}",
                if with_machine {
                    " with its machine"
                } else {
                    ""
                }
            )
        });
        self.see(if with_machine {
            "crashes of machines"
        } else {
            "crashes of processes"
        });
        if let Some(node) = self.nodes.get_mut(&id) {
            node.crash(with_machine);
            self.after(down_us, Event::Restart { node: id });
        }
        self.lose_connections(id, 700);
    }

    /// Others notice at once that the connection from `id` broke, each with a chance of so many in a thousand.
    fn lose_connections(&mut self, id: u64, permille: u64) {
        let Some(birth) = self.nodes.get(&id).map(|node| node.birth) else {
            return;
        };
        for other in self.running_ids() {
            if other != id
                && self.random.chance(permille)
                && let Some(running) = running(&mut self.nodes, other)
            {
                running.replica.connection_lost(ReplicaId(id), birth);
            }
        }
    }

    /// A replica whose disk was lost has said so, and does not come back.
    pub(super) fn crash_for_good(&mut self, id: u64) {
        self.tell(|| format!("{id} does not come back"));
        if let Some(node) = self.nodes.get_mut(&id) {
            node.crash(false);
        }
    }

    fn fill_disk(&mut self) {
        let ids = self.node_ids();
        let id = self.random.pick(&ids);
        let lasts_us = self.random.between(50_000, 900_000);
        if let Some(node) = self.nodes.get_mut(&id) {
            node.is_full = true;
            node.disk.set_capacity(Some(1));
            self.tell(|| format!("{id}'s disk is full"));
            self.after(lasts_us, Event::EmptyDisk { node: id });
        }
    }

    pub(super) fn empty_disk(&mut self, id: u64) -> Checked {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.is_full = false;
            node.disk.set_capacity(None);
        }
        Ok(())
    }

    /// One replica, once, comes back empty under its old id, or with a flipped bit. The others know it by then: before
    /// that nobody could tell it from a first start.
    fn lose_disk(&mut self) {
        let founders: Vec<u64> = (1..=self.plan.replicas).collect();
        let id = self.random.pick(&founders);
        let is_known = |by: u64| by == id || self.acquainted.contains(&(by, id));
        if !founders.iter().all(|by| is_known(*by)) {
            return;
        }
        let (is_wiped, joins) = (self.random.chance(500), self.random.chance(500));
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        node.crash(true);
        if is_wiped {
            node.wipe(&self.plan, joins);
            self.see("disks lost");
            self.tell(|| format!("{id} loses its disk"));
        } else {
            let before = node.end_of_log(&self.plan);
            let what = node.disk.rot();
            let after = node.end_of_log(&self.plan);
            // Where it is not noticed it does no harm, and the replica is as good as before.
            node.is_lost = true;
            self.see("disks with a flipped bit");
            self.tell(|| format!("{id}'s disk rots: {what:?}"));
            if after.is_some() && after < before {
                // Nothing tells a damaged end of the log from a torn one: the limit of what one copy can know. It would be
                // noticed by the leader, unless that is gone as well.
                self.see("damaged ends of logs taken for torn ones");
                return;
            }
        }
        self.after(1, Event::Restart { node: id });
    }

    fn transfer_leadership(&mut self) {
        let ids = self.node_ids();
        let to = self.random.pick(&ids);
        let Some(leader) = self.leader() else {
            return;
        };
        let running = running(&mut self.nodes, leader);
        if let Some(running) = running {
            let transferred = running.replica.transfer_leadership(ReplicaId(to));
            if transferred.is_ok() {
                self.see("transfers begun");
            }
            self.tell(|| format!("{leader} hands over to {to}: {transferred:?}"));
            self.due(leader);
        }
    }

    /// Faults are over: everybody who can comes back, and the network is fine.
    pub(super) fn calm_down(&mut self) -> Checked {
        self.tell(|| "calm".to_owned());
        self.deadline_us = Some(self.now_us + CALM_US);
        self.network.heal();
        for id in self.node_ids() {
            let Some(node) = self.nodes.get_mut(&id) else {
                continue;
            };
            node.is_full = false;
            node.disk.set_capacity(None);
            node.disk.crash_after(None);
            node.disk.fail_sync_after(None);
            if node.disk.has_crashed() {
                node.crash(true);
            }
            if node.running.is_none() && !node.is_lost {
                self.start(id)?;
            }
        }
        let clients: Vec<u64> = self.clients.keys().copied().collect();
        for client in clients {
            self.after(1, Event::Ask { client });
        }
        Ok(())
    }
}
