//! One replica: raft-rs, the journal and its snapshots put together.

mod advance;
mod change;
mod receive;
mod start;
mod status;
mod step;

pub use step::Step;

use bytes::Bytes;
use convoy_common::ids::ReplicaId;
use convoy_journal::{Disk, HardState, Journal, Position, SnapshotMeta, Snapshots};
use convoy_proto::raft::v1;
use raft::{RawNode, SnapshotStatus, StateRole};

use crate::births::Births;
use crate::config::ReplicaConfig;
use crate::error::{Fatal, Rejected};
use crate::membership::Members;
use crate::output::{ProposalId, ReadId, Role};
use crate::payload::{Author, cost};
use crate::proposals::Proposals;
use crate::random::Random;
use crate::reads::Reads;
use crate::storage::LogStore;
use crate::wire::Envelope;

/// Snapshots that are kept: the newest, and the one before it, which the log reaches back to.
const KEPT_SNAPSHOTS: usize = 2;

/// A deliberate error, for the simulation to prove that it would be found.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Nothing is ever synced.
    AcknowledgeBeforeSync,
    /// What a message promises is written after it left.
    SendBeforeSync,
    /// Reads are answered without asking the others.
    AnswerReadsAtOnce,
    /// raft-rs puts entries into messages that it has made already.
    BatchAppend,
    /// Nobody looks at the folder a message comes from.
    TrustWipedReplicas,
}

/// One replica of the log. Driven from outside: every call returns at once, apart from the disk's own time.
///
/// After any call that puts something in, [`advance`](Self::advance) does what is due; many calls may share one
/// `advance`, and one fsync.
pub struct Replica<D: Disk> {
    config: ReplicaConfig,
    author: Author,
    /// Of this replica's folder.
    birth: u64,
    births: Births<D>,
    raw: RawNode<LogStore>,
    journal: Journal<D>,
    snapshots: Snapshots<D>,
    /// As raft-rs has it. Its commit may be ahead of the journal's.
    hard_state: HardState,
    /// As of `applied`.
    members: Members,
    /// The last entry that was handed out, or that a restored snapshot contains.
    applied: Position,
    /// Bytes of entries since the newest snapshot.
    bytes_since_snapshot: u64,
    proposals: Proposals,
    reads: Reads,
    refusals: Vec<(u64, v1::Refusal)>,
    elections: Elections,
    /// Ticks so far.
    now: u64,
    /// Why commands are refused, while the disk is nearly full.
    no_room: Option<String>,
    /// Leader and term that reads were last sent under.
    reading_from: (u64, u64),
    announced_role: Option<Role>,
    are_members_new: bool,
    /// Set when it can't go on; said by the next `advance`.
    condemned: Option<Fatal>,
    has_stopped: bool,
    mutation: Option<Mutation>,
}

/// Election timeouts of our own. raft-rs draws one when it changes its role or term; it is replaced after every call.
struct Elections {
    random: Random,
    /// The least ticks.
    ticks: u64,
    timeout: u64,
    seen: (StateRole, u64),
}

impl Elections {
    fn new(seed: u64, ticks: u32) -> Self {
        let mut elections = Self {
            random: Random::new(seed),
            ticks: u64::from(ticks),
            timeout: 0,
            seen: (StateRole::Follower, 0),
        };
        elections.draw();
        elections
    }

    fn draw(&mut self) {
        self.timeout = self.ticks + self.random.below(self.ticks);
    }
}

impl<D: Disk> Replica<D> {
    /// Time passed. Nothing happens to elections while entries wait for [`advance`](Self::advance).
    pub fn tick(&mut self) {
        if self.is_stopping() {
            return;
        }
        self.now += 1;
        self.reads
            .expire(self.now, self.config.read_timeout_ticks());
        self.look_for_room();
        // A replica that is behind with its disk is behind with its clock: raft-rs assumes that whoever starts an
        // election has everything on disk.
        if !self.raw.raft.raft_log.unstable_entries().is_empty() {
            return;
        }
        let raft = &self.raw.raft;
        let fires = raft.state != StateRole::Leader
            && raft.promotable()
            && raft.election_elapsed as u64 + 1 >= self.elections.timeout;
        self.raw.tick();
        self.settle_timeout(fires);
    }

    /// Hands in a command, opaque here. It comes back as [`Committed`](crate::Committed) with this id, or is rejected.
    pub fn propose(&mut self, id: ProposalId, data: impl Into<Bytes>) {
        let data = data.into();
        match self.check_proposal(&data) {
            Ok(()) => self.proposals.wait(id, data),
            Err(why) => self.proposals.reject(id, why),
        }
    }

    fn check_proposal(&self, data: &Bytes) -> Result<(), Rejected> {
        self.check_leadership()?;
        if let Some(reason) = &self.no_room {
            let reason = reason.clone();
            return Err(Rejected::DiskFull { reason });
        }
        let (bytes, limits) = (cost(data), &self.config.limits);
        if bytes > limits.max_entry_bytes {
            return Err(Rejected::TooLarge {
                bytes,
                limit_bytes: limits.max_entry_bytes,
            });
        }
        let waiting_bytes = self.proposals.waiting_bytes();
        if waiting_bytes + bytes > limits.max_waiting_bytes {
            return Err(Rejected::Busy {
                waiting_bytes,
                limit_bytes: limits.max_waiting_bytes,
            });
        }
        Ok(())
    }

    /// # Errors
    /// If nothing can be proposed here.
    fn check_leadership(&self) -> Result<(), Rejected> {
        let raft = &self.raw.raft;
        if self.is_stopping() {
            Err(Rejected::Stopped)
        } else if raft.state != StateRole::Leader {
            Err(Rejected::NotLeader {
                leader: self.known_leader(),
            })
        } else if let Some(to) = raft.lead_transferee {
            Err(Rejected::Transferring { to: ReplicaId(to) })
        } else {
            Ok(())
        }
    }

    fn known_leader(&self) -> Option<ReplicaId> {
        Some(self.raw.raft.leader_id)
            .filter(|id| *id != raft::INVALID_ID)
            .map(ReplicaId)
    }

    /// Asks for an index from which a linearizable read may be served here. Works on every replica: a follower asks its
    /// leader. A read that gets lost on the way, or that finds no leader, is tried again until it times out.
    pub fn read(&mut self, id: ReadId) {
        if self.is_stopping() {
            self.reads.reject(id, Rejected::Stopped);
        } else {
            self.reads.wait(id, self.now);
        }
    }

    /// Starts an election now, if this is a voter: for a cluster of one, which need not wait. A replica that has just
    /// started knows its members after its first [`advance`](Self::advance).
    pub fn campaign(&mut self) {
        let raft = &self.raw.raft;
        if self.is_stopping() || !raft.promotable() || !raft.raft_log.unstable_entries().is_empty()
        {
            return;
        }
        if let Err(error) = self.raw.campaign() {
            tracing::debug!(%error, "no election was started");
        }
        self.settle_timeout(true);
    }

    /// What became of a snapshot to a follower: in place there and announced, or not.
    pub fn snapshot_sent(&mut self, to: ReplicaId, is_in_place: bool) {
        let status = if is_in_place {
            SnapshotStatus::Finish
        } else {
            SnapshotStatus::Failure
        };
        self.raw.report_snapshot(to.0, status);
        self.settle_timeout(false);
    }

    /// A message to this replica was lost: entries are sent one at a time until it answers.
    pub fn is_unreachable(&mut self, id: ReplicaId) {
        self.raw.report_unreachable(id.0);
        self.settle_timeout(false);
    }

    /// The connection from `id` broke, since its process ended. If it led, nobody is waited for: the voters stand for election
    /// in turn, by id, two ticks apart, so that they are not in each other's way. If it lives after all, nobody who still hears
    /// it votes for another; but it is deposed if a majority says this before its next message, so whoever knows no more than
    /// that a connection broke should not.
    ///
    /// Nothing happens if `birth` is not that of the folder that is known under this id: it was another's connection.
    pub fn connection_lost(&mut self, id: ReplicaId, birth: u64) {
        if self.is_stopping() || self.births.of(id.0) != Some(birth) {
            return;
        }
        let (own, raft) = (self.config.id, &mut self.raw.raft);
        let is_follower = raft.state == StateRole::Follower && raft.leader_id == id.0;
        if !is_follower || !raft.promotable() {
            return;
        }
        let voters = self.members.voters.iter();
        let before = voters
            .filter(|voter| **voter < own && **voter != id)
            .count() as u64;
        // raft-rs takes no timeout below the least one: most of it counts as over.
        let over = self.elections.timeout.saturating_sub(1 + 2 * before);
        let over = usize::try_from(over).unwrap_or(usize::MAX);
        let elapsed = raft.election_elapsed;
        raft.become_follower(raft.term, raft::INVALID_ID);
        raft.election_elapsed = elapsed.max(over);
        self.settle_timeout(false);
    }

    /// What a snapshot is called that contains everything handed out so far; none as long as that is nothing.
    #[must_use]
    pub fn snapshot_meta(&self) -> Option<SnapshotMeta> {
        let Position { index, term } = self.applied;
        (index > 0).then(|| self.members.to_meta(index, term))
    }

    /// A snapshot of our own is in place: the log is cut up to the one before it.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn snapshot_written(&mut self, meta: SnapshotMeta) -> Result<(), Fatal> {
        let store = self.raw.mut_store();
        let before = store.snapshot_meta().map_or(0, |meta| meta.index);
        if meta.index <= before {
            // The leader's snapshot overtook it.
            return Ok(());
        }
        let keep_from = before + 1;
        store.compact(meta.clone(), keep_from);
        self.bytes_since_snapshot = store.bytes_after(meta.index);
        let compacted = self.journal.compact(keep_from);
        let pruned = compacted.and_then(|()| self.snapshots.prune(KEPT_SNAPSHOTS));
        match pruned {
            Err(error) if error.is_fatal() => Err(self.stop(Fatal::Journal(error))),
            Err(error) => {
                // Costs room, no more: the next snapshot tries again.
                tracing::warn!(%error, "old log could not be removed");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// The snapshot files, for threads that write and send them.
    #[must_use]
    pub fn snapshots(&self) -> Snapshots<D> {
        self.snapshots.clone()
    }

    #[doc(hidden)]
    pub fn set_mutation(&mut self, mutation: Option<Mutation>) {
        self.mutation = mutation;
        let batches = mutation == Some(Mutation::BatchAppend);
        self.raw.set_batch_append(batches);
    }

    /// Replaces the election timeout that raft-rs may have drawn. `has_fired`: the last one has run out.
    fn settle_timeout(&mut self, has_fired: bool) {
        let raft = &mut self.raw.raft;
        let seen = (raft.state, raft.term);
        if has_fired || seen != self.elections.seen {
            self.elections.seen = seen;
            self.elections.draw();
        }
        let ticks = usize::try_from(self.elections.timeout).unwrap_or(usize::MAX);
        raft.set_randomized_election_timeout(ticks);
    }

    fn look_for_room(&mut self) {
        match self.journal.room() {
            Ok(room) if room.is_enough() => self.no_room = None,
            Ok(room) => self.no_room = Some(room.to_string()),
            Err(error) => {
                tracing::warn!(%error, "the file system does not say how much room there is")
            }
        }
    }

    fn envelope(&self) -> Envelope {
        Envelope {
            cluster: self.config.cluster,
            from: self.config.id.0,
            birth: self.birth,
        }
    }

    fn is_stopping(&self) -> bool {
        self.has_stopped || self.condemned.is_some()
    }

    fn stop(&mut self, why: Fatal) -> Fatal {
        self.has_stopped = true;
        why
    }
}
