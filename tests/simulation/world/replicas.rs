//! Replicas: ticks, messages, and what they bring about.

use bytes::Bytes;
use convoy_consensus::{Committed, Fatal, Output, Refused, Rejected, ReplicaId, Role};
use convoy_proto::raft::v1;
use convoy_proto::raft::v1::raft_message::Body;
use prost::Message as _;

use super::clients::Answer;
use super::{Event, World};
use crate::checks::{Checked, violated};
use crate::node::{Node, Started, read_snapshot};
use crate::plan::TICK_US;
use crate::state::State;

impl World {
    pub(super) fn start(&mut self, id: u64) -> Checked {
        let Some(node) = self.nodes.get_mut(&id) else {
            return Ok(());
        };
        let started = node.start(&self.plan)?;
        let (life, torn_bytes) = (node.life, node.torn_bytes);
        if torn_bytes > 0 {
            self.see("torn ends of logs");
        }
        match started {
            Started::Running => {
                self.tell(|| format!("{id} starts its life {life}"));
                let first_us = self.random.below(TICK_US);
                self.after(first_us, Event::Tick { node: id, life });
                self.due(id);
                self.look_at(id)
            }
            Started::Crashed => {
                self.see("crashes at the start");
                self.tell(|| format!("{id} crashes while it starts"));
                self.crash(id, true);
                Ok(())
            }
            Started::NoRoom => {
                self.see("starts without room");
                self.tell(|| format!("{id} finds no room to start"));
                self.after(100_000, Event::Restart { node: id });
                Ok(())
            }
            Started::FoundDamage(what) => {
                self.see("damaged disks found at the start");
                self.tell(|| format!("{id} does not start: {what}"));
                Ok(())
            }
        }
    }

    pub(super) fn restart(&mut self, id: u64) -> Checked {
        let crashes = !self.is_calm() && self.random.chance(self.plan.crash.midway_permille / 4);
        let changes = self.random.below(12);
        match self.nodes.get(&id) {
            Some(node) if node.running.is_none() => {
                if crashes {
                    node.disk.crash_after(Some(changes));
                }
                self.start(id)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The node, if it is in this life and its disk is idle; else the event is made again for later.
    fn ready(
        &mut self,
        id: u64,
        life: Option<u64>,
        again: impl FnOnce() -> Event,
    ) -> Option<&mut Node> {
        let now_us = self.now_us;
        let node = self.nodes.get(&id)?;
        if node.running.is_none() || life.is_some_and(|life| life != node.life) {
            return None;
        }
        if node.busy_until > now_us {
            let wait_us = node.busy_until - now_us;
            self.after(wait_us, again());
            return None;
        }
        self.nodes.get_mut(&id)
    }

    /// Something came in: what is due is done before long.
    pub(super) fn due(&mut self, id: u64) {
        let wait_us = self.random.below(self.plan.laziness_us + 1);
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        if node.is_advance_due {
            return;
        }
        node.is_advance_due = true;
        let life = node.life;
        self.after(wait_us, Event::Advance { node: id, life });
    }

    pub(super) fn tick(&mut self, id: u64, life: u64) -> Checked {
        let again = || Event::Tick { node: id, life };
        let Some(node) = self.ready(id, Some(life), again) else {
            return Ok(());
        };
        if let Some(running) = &mut node.running {
            running.replica.tick();
        }
        // Clocks differ by up to a tenth.
        let next_us = TICK_US * (95 + (id * 3) % 11) / 100;
        self.after(next_us, Event::Tick { node: id, life });
        self.due(id);
        self.look_at(id)
    }

    pub(super) fn deliver(&mut self, message: v1::RaftMessage) -> Checked {
        let (from, to) = (message.from, message.to);
        let births: Vec<u64> = match &message.body {
            Some(Body::Heartbeat(heartbeat)) => {
                heartbeat.births.iter().map(|birth| birth.replica).collect()
            }
            _ => Vec::new(),
        };
        let copy = message.clone();
        let Some(node) = self.ready(to, None, || Event::Deliver(Box::new(copy))) else {
            return Ok(());
        };
        let Some(running) = &mut node.running else {
            return Ok(());
        };
        match running.replica.receive(message) {
            Ok(()) => {
                self.acquainted.insert((to, from));
                self.acquainted
                    .extend(births.into_iter().map(|id| (to, id)));
            }
            Err(why) => self.refused(from, to, &why)?,
        }
        self.due(to);
        self.look_at(to)
    }

    fn refused(&mut self, from: u64, to: u64, why: &Refused) -> Checked {
        self.tell(|| format!("{to} refuses a message of {from}: {why}"));
        match why {
            Refused::OtherBirth { .. } => self.see("messages of wiped replicas refused"),
            Refused::DiskFull { .. } => self.see("messages refused on full disks"),
            Refused::OtherCluster { .. }
            | Refused::Misdirected { .. }
            | Refused::OwnId { .. }
            | Refused::UnknownSender { .. }
            | Refused::NothingLogged { .. }
            | Refused::Malformed { .. }
            | Refused::Stopped => {}
        }
        let is_lost = |id: u64| self.nodes.get(&id).is_some_and(|node| node.is_lost);
        let is_expected = match why {
            // Members differ in what they know of each other's membership.
            Refused::UnknownSender { .. } | Refused::DiskFull { .. } | Refused::Stopped => true,
            Refused::OtherBirth { .. } | Refused::NothingLogged { .. } => {
                is_lost(from) || is_lost(to)
            }
            Refused::OtherCluster { .. }
            | Refused::Misdirected { .. }
            | Refused::OwnId { .. }
            | Refused::Malformed { .. } => false,
        };
        if is_expected {
            Ok(())
        } else {
            violated(format!(
                "replica {to} refuses a message of replica {from}: {why}"
            ))
        }
    }

    pub(super) fn advance(&mut self, id: u64, life: u64) -> Checked {
        let (again, now_us) = (|| Event::Advance { node: id, life }, self.now_us);
        let Some(node) = self.ready(id, Some(life), again) else {
            return Ok(());
        };
        node.is_advance_due = false;
        let disk = node.disk.clone();
        let began_us = disk.busy_us();
        let Some(running) = &mut node.running else {
            return Ok(());
        };
        let mut sent = Vec::new();
        let mut out = Output::default();
        let result = running.replica.advance(
            &mut |to, message| sent.push((disk.busy_us() - began_us, to, message)),
            &mut out,
        );
        let worked_us = disk.busy_us() - began_us;
        node.busy_until = now_us + worked_us;
        for (after_us, to, message) in sent {
            self.send(id, to, after_us, message);
        }
        match result {
            Ok(()) => {
                self.look_at(id)?;
                self.handle(id, out)
            }
            Err(why) => self.stopped(id, &why),
        }
    }

    fn send(&mut self, from: u64, to: ReplicaId, after_us: u64, message: v1::RaftMessage) {
        self.mix(to.0 ^ message.term);
        self.tell(|| format!("{from} -> {} {}", to.0, brief(&message)));
        let delays = self.network.delays(&mut self.random, from, to.0);
        let message = if self.plan.is_encoded {
            let bytes = Bytes::from(message.encode_to_vec());
            v1::RaftMessage::decode(bytes).expect("messages survive their encoding")
        } else {
            message
        };
        for delay_us in delays {
            let copy = Box::new(message.clone());
            self.after(after_us + delay_us, Event::Deliver(copy));
        }
    }

    /// A replica said that it can't go on: the disk's faults are to blame, or ours.
    pub(super) fn stopped(&mut self, id: u64, why: &Fatal) -> Checked {
        self.tell(|| format!("{id} stops: {why}"));
        let Some(node) = self.nodes.get(&id) else {
            return Ok(());
        };
        let (has_crashed, fails_syncs) = (node.disk.has_crashed(), node.fails_syncs);
        let is_expected = match why {
            Fatal::Journal(error) => node.disk.has_crashed() || error.is_fatal() || error.is_full(),
            Fatal::Impostor { .. } | Fatal::LostWrites { .. } => node.is_lost,
            Fatal::MalformedEntry { .. } | Fatal::Stopped => false,
        };
        if !is_expected {
            return violated(format!("replica {id} stops: {why}"));
        }
        let is_lost = node.is_lost;
        match why {
            Fatal::Journal(_) if has_crashed => self.see("crashes in the middle of an operation"),
            Fatal::Journal(_) if fails_syncs => self.see("failed syncs"),
            Fatal::Journal(_) => self.see("stops on full disks"),
            Fatal::Impostor { .. } | Fatal::LostWrites { .. } => {
                self.see("wiped replicas that stop")
            }
            Fatal::MalformedEntry { .. } | Fatal::Stopped => {}
        }
        if is_lost {
            self.crash_for_good(id);
        } else {
            // After a failed sync the system's cache shows bytes that are not on the disk, and later syncs don't write them:
            // only the machine's restart shows what is.
            self.crash(id, fails_syncs);
        }
        Ok(())
    }

    /// What is true of a replica at any time.
    pub(super) fn look_at(&mut self, id: u64) -> Checked {
        let Some(node) = self.nodes.get(&id) else {
            return Ok(());
        };
        let Some(running) = &node.running else {
            return Ok(());
        };
        if let Role::Leader { term, .. } = running.replica.role() {
            self.checks.leads(id, node.life, term)?;
        }
        Ok(())
    }

    fn handle(&mut self, id: u64, mut out: Output) -> Checked {
        if let Some(role) = out.role {
            self.tell(|| format!("{id} is {role:?}"));
        }
        for _ in &out.changed {
            self.see("changes of members answered");
        }
        if let Some(members) = &out.members {
            if members.is_joint() {
                self.see("joint configurations entered");
            }
            self.tell(|| format!("{id} has members {members:?}"));
        }
        if let Some(meta) = out.restore.take() {
            let Some(running) = self
                .nodes
                .get_mut(&id)
                .and_then(|node| node.running.as_mut())
            else {
                return Ok(());
            };
            match read_snapshot(&running.replica, &meta) {
                Ok(payload) => running.state = State::decode(&payload),
                Err(error) => {
                    return violated(format!(
                        "replica {id} cannot read an installed snapshot: {error}"
                    ));
                }
            }
            let (index, digest) = (meta.index, running.state.digest());
            self.checks.has_state(id, index, digest)?;
            self.see("snapshots of leaders restored");
            self.tell(|| format!("{id} restores the snapshot at {index}"));
        }
        self.apply(id, std::mem::take(&mut out.committed), out.applied)?;
        for (proposal, why) in std::mem::take(&mut out.rejected) {
            self.see(match &why {
                Rejected::Unknown => "proposals with an unknown fate",
                Rejected::DiskFull { .. } => "proposals refused on full disks",
                Rejected::Busy { .. } => "proposals refused as too many",
                Rejected::Transferring { .. } => "proposals refused in a transfer",
                Rejected::NotLeader { .. }
                | Rejected::TooLarge { .. }
                | Rejected::TimedOut { .. }
                | Rejected::NotSettled
                | Rejected::ChangeUnderWay
                | Rejected::NoSuchChange { .. }
                | Rejected::NotCaughtUp { .. }
                | Rejected::RemovesLeader { .. }
                | Rejected::Stopped => "proposals refused otherwise",
            });
            let running = self
                .nodes
                .get_mut(&id)
                .and_then(|node| node.running.as_mut());
            if let Some(asked) = running.and_then(|running| running.asked.remove(&proposal)) {
                self.reply(id, asked, Answer::from_rejection(&why));
            }
        }
        self.confirm_reads(id, std::mem::take(&mut out.reads))?;
        for snapshot in std::mem::take(&mut out.snapshots_to_send) {
            self.send_snapshot(id, snapshot);
        }
        if out.snapshot_due {
            self.begin_snapshot(id)?;
        }
        Ok(())
    }

    fn apply(&mut self, id: u64, committed: Vec<Committed>, applied: u64) -> Checked {
        let (mut answers, mut repeated) = (Vec::new(), 0);
        let Some(running) = self
            .nodes
            .get_mut(&id)
            .and_then(|node| node.running.as_mut())
        else {
            return Ok(());
        };
        let before = running.state.applied();
        let mut commands = committed.into_iter().peekable();
        while let Some(command) = commands.next() {
            let index = command.index;
            if index <= before {
                return violated(format!(
                    "replica {id} hands out entry {index} after entry {before}"
                ));
            }
            let effect = running.state.apply(index, &command.data);
            if effect.is_new {
                self.checks.runs(effect.client, effect.sequence, index)?;
            } else {
                repeated += 1;
            }
            if let Some(asked) = command.proposal.and_then(|id| running.asked.remove(&id)) {
                if (asked.client, asked.sequence) != (effect.client, effect.sequence) {
                    return violated(format!(
                        "replica {id} takes {effect:?} for its proposal {asked:?}"
                    ));
                }
                answers.push((asked, effect));
            }
            if commands.peek().is_none_or(|next| next.index != index) {
                self.checks.has_state(id, index, running.state.digest())?;
            }
        }
        running.state.passed(applied);
        let digest = running.state.digest();
        self.mix(digest);
        *self.seen.entry("repeated commands").or_default() += repeated;
        if applied > before {
            self.tell(|| format!("{id} applied up to {applied}"));
        }
        for (asked, effect) in answers {
            if let Some(index) = effect.ran_at {
                self.see("commands acknowledged");
                self.checks
                    .acknowledges(asked.client, asked.sequence, index)?;
                self.reply(id, asked, Answer::Done);
            }
        }
        Ok(())
    }
}

/// A message in a few words.
fn brief(message: &v1::RaftMessage) -> String {
    let body = match &message.body {
        Some(Body::Append(append)) => format!(
            "append {}+{} commit {}",
            append.previous_index,
            append.entries.len(),
            append.commit
        ),
        Some(Body::Heartbeat(heartbeat)) => format!("heartbeat commit {}", heartbeat.commit),
        Some(Body::HeartbeatResponse(response)) => {
            format!("heartbeat answer commit {}", response.commit)
        }
        Some(Body::ReadIndex(_)) => "read".to_owned(),
        Some(Body::ReadIndexResponse(response)) => format!("read from {}", response.index),
        other => format!("{other:?}"),
    };
    format!("term {} {body}", message.term)
}
