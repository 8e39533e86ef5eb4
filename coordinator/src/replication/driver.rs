//! Drives the replica. It shares its thread with everything else of its coordinator, and lets go of it where others have
//! something to send before the disk is waited for.

use std::collections::BTreeMap;
use std::time::Duration;

use convoy_consensus::{Committed, Fatal, Members, Output, Rejected, Replica, ReplicaId, Role};
use convoy_journal::{RealDisk, SnapshotMeta, Snapshots};
use convoy_proto::raft::v1;
use convoy_state_machine::{Cluster, codec};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::failure::Failure;
use super::outbox::Outbox;
use super::request::Request;
use super::snapshot_files;
use crate::consensus::LogEvent;

/// Requests that share one fsync, at most: ticks and heartbeats should not wait longer than they take.
const MOST_AT_ONCE: usize = 4_096;

/// Ticks after a snapshot that could not be written until the next is tried.
const SNAPSHOT_RETRY_TICKS: u32 = 100;

/// Owner of the replica.
pub(super) struct Driver {
    pub(super) replica: Replica<RealDisk>,
    pub(super) tick: Duration,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) events: mpsc::Sender<Vec<LogEvent>>,
    pub(super) roles: watch::Sender<Role>,
    pub(super) outbox: Outbox,
    pub(super) failure: Failure,
    pub(super) snapshot: SnapshotTurn,
    pub(super) applied: u64,
    /// Why messages of each replica were refused; told when it changes.
    pub(super) refusals: BTreeMap<u64, String>,
}

/// Whether a snapshot of the state may be asked for.
#[derive(Debug, Default)]
pub(super) enum SnapshotTurn {
    #[default]
    Free,
    /// One is being written.
    Taken,
    /// The last one failed.
    After { ticks: u32 },
}

/// Why the driver ends.
pub(super) enum End {
    /// It was told to, or nobody is left to serve.
    Asked,
    Failed(String),
}

impl Driver {
    /// Until it is told to stop, or the replica can't go on.
    pub(super) async fn run(mut self) {
        if let Err(End::Failed(reason)) = self.serve().await {
            self.failure.end(&reason);
        }
    }

    async fn serve(&mut self) -> Result<(), End> {
        // A replica knows its members after its first `advance`.
        self.advance().await?;
        if self.replica.members().voters == [self.replica.id()] {
            // Nobody else can lead, so there is no reason to wait for one.
            self.replica.campaign();
            self.advance().await?;
        }
        let mut ticks = tokio::time::interval(self.tick);
        // A driver that ran late counts what it missed as one tick: it heard nobody for its own fault.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            let is_tick = tokio::select! {
                biased;
                _ = ticks.tick() => true,
                request = self.requests.recv() => {
                    self.take(request.ok_or(End::Asked)?)?;
                    false
                }
            };
            for _ in 0..MOST_AT_ONCE {
                let Ok(request) = self.requests.try_recv() else {
                    break;
                };
                self.take(request)?;
            }
            if is_tick {
                self.tick();
            }
            self.advance().await?;
        }
    }

    fn tick(&mut self) {
        self.replica.tick();
        if let SnapshotTurn::After { ticks } = &mut self.snapshot {
            *ticks -= 1;
            if *ticks == 0 {
                self.snapshot = SnapshotTurn::Free;
            }
        }
    }

    fn take(&mut self, request: Request) -> Result<(), End> {
        match request {
            Request::Propose { id, data } => self.replica.propose(id, data),
            Request::Read(id) => self.replica.read(id),
            Request::Change { id, change } => self.replica.change_membership(id, change),
            Request::Transfer { to, reply } => {
                // Whoever asked may be gone.
                let _ = reply.send(self.transfer(to));
            }
            Request::Receive(messages) => {
                for message in messages {
                    self.receive(message);
                }
            }
            Request::Unreachable(id) => self.replica.is_unreachable(id),
            Request::ConnectionLost { from, birth } => self.replica.connection_lost(from, birth),
            Request::SnapshotSent { to, is_in_place } => {
                self.replica.snapshot_sent(to, is_in_place);
            }
            Request::SnapshotWritten(written) => self.snapshot_written(written)?,
            Request::Status(reply) => {
                // Whoever asked may be gone.
                let _ = reply.send(self.replica.status());
            }
            Request::Fail(reason) => return Err(End::Failed(reason)),
            Request::Stop => return Err(End::Asked),
        }
        Ok(())
    }

    fn receive(&mut self, message: v1::RaftMessage) {
        let from = message.from;
        match self.replica.receive(message) {
            Ok(()) => {
                self.refusals.remove(&from);
            }
            Err(refused) => {
                let reason = refused.to_string();
                if self.refusals.get(&from) != Some(&reason) {
                    tracing::warn!(from, reason, "message of a coordinator refused");
                    self.refusals.insert(from, reason);
                }
            }
        }
    }

    /// To whom leadership was offered.
    fn transfer(&mut self, to: Option<ReplicaId>) -> Result<ReplicaId, Rejected> {
        let status = self.replica.status();
        let voters = status
            .peers
            .iter()
            .filter(|peer| peer.is_active && status.members.voters.contains(&peer.id));
        let best = voters.max_by_key(|peer| peer.matched).map(|peer| peer.id);
        let to = to.or(best).ok_or_else(|| Rejected::NoSuchChange {
            reason: "no other coordinator that votes was heard of lately".to_owned(),
        })?;
        self.replica.transfer_leadership(to)?;
        Ok(to)
    }

    fn snapshot_written(&mut self, written: Option<SnapshotMeta>) -> Result<(), End> {
        let Some(meta) = written else {
            self.snapshot = SnapshotTurn::After {
                ticks: SNAPSHOT_RETRY_TICKS,
            };
            return Ok(());
        };
        self.snapshot = SnapshotTurn::Free;
        tracing::info!(index = meta.index, "snapshot of the state written");
        let cut = self.replica.snapshot_written(meta);
        cut.map_err(|fatal| End::Failed(fatal.to_string()))
    }

    /// Does what is due, and hands on what comes of it.
    async fn advance(&mut self) -> Result<(), End> {
        let mut output = Output::default();
        let advanced = self.take_steps(&mut output).await;
        for id in self.outbox.take_unreachable() {
            self.replica.is_unreachable(id);
        }
        advanced.map_err(|fatal| End::Failed(fatal.to_string()))?;
        let role = output.role;
        for snapshot in output.snapshots_to_send.drain(..) {
            self.outbox
                .send_snapshot(self.replica.snapshots(), snapshot);
        }
        let events = self.events_of(output).await?;
        if !events.is_empty() && self.events.send(events).await.is_err() {
            return Err(End::Asked);
        }
        if let Some(role) = role {
            tracing::info!(?role, "role");
            self.roles.send_replace(role);
        }
        // Also where requests wait already: what was promised to others is on their way first.
        self.outbox.let_go().await;
        Ok(())
    }

    /// What goes to others leaves before the disk is waited for, wherever it may: they write at the same time.
    async fn take_steps(&mut self, output: &mut Output) -> Result<(), Fatal> {
        let outbox = &mut self.outbox;
        loop {
            let send = &mut |to, message| outbox.send(to, message);
            let Some(step) = self.replica.next_step(send, output)? else {
                return Ok(());
            };
            if step.waits_for_disk() {
                outbox.let_go().await;
            }
            step.complete(&mut |to, message| outbox.send(to, message), output)?;
        }
    }

    /// What the leader loop has to know, in the order in which it has to.
    async fn events_of(&mut self, output: Output) -> Result<Vec<LogEvent>, End> {
        let mut events = Vec::new();
        if let Some(meta) = &output.restore {
            let cluster = read_state(self.replica.snapshots(), meta.clone()).await?;
            tracing::info!(
                index = meta.index,
                "state replaced by the leader's snapshot"
            );
            events.push(LogEvent::Restored(Box::new(cluster)));
        }
        for committed in output.committed {
            events.push(committed_event(committed)?);
        }
        if output.applied != self.applied {
            self.applied = output.applied;
            events.push(LogEvent::Applied(output.applied));
        }
        let changed = output.changed.into_iter();
        events.extend(changed.map(|(id, _)| LogEvent::Changed(id)));
        let rejected = output.rejected.into_iter();
        events.extend(rejected.map(|(id, why)| LogEvent::Rejected(id, why)));
        let reads = output.reads.into_iter();
        events.extend(reads.map(|(id, answer)| LogEvent::ReadReady(id, answer)));
        if let Some(members) = output.members {
            self.members_changed(&members);
            events.push(LogEvent::MembersChanged(members));
        }
        events.extend(output.role.map(LogEvent::RoleChanged));
        if output.snapshot_due
            && matches!(self.snapshot, SnapshotTurn::Free)
            && let Some(meta) = self.replica.snapshot_meta()
        {
            self.snapshot = SnapshotTurn::Taken;
            events.push(LogEvent::SnapshotWanted(meta));
        }
        Ok(events)
    }

    fn members_changed(&mut self, members: &Members) {
        let (voters, learners) = (&members.voters, &members.learners);
        tracing::info!(?voters, ?learners, "members");
        self.outbox.keep(members);
    }
}

/// On another thread: this one serves, and a state may be large.
async fn read_state(snapshots: Snapshots<RealDisk>, meta: SnapshotMeta) -> Result<Cluster, End> {
    let read = tokio::task::spawn_blocking(move || snapshot_files::read(&snapshots, &meta));
    match read.await {
        Ok(Ok(cluster)) => Ok(cluster),
        Ok(Err(error)) => Err(End::Failed(error.to_string())),
        Err(error) => Err(End::Failed(error.to_string())),
    }
}

fn committed_event(committed: Committed) -> Result<LogEvent, End> {
    let Committed {
        index,
        proposal,
        data,
        ..
    } = committed;
    match codec::decode_command(&data) {
        Ok(envelope) => Ok(LogEvent::Committed { proposal, envelope }),
        Err(error) => Err(End::Failed(format!(
            "committed entry {index} can't be applied: {error}"
        ))),
    }
}
