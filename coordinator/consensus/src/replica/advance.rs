//! What is due, in the order that durability asks for.

use convoy_common::ids::ReplicaId;
use convoy_journal::{Disk, HardState, Position, SnapshotMeta};
use convoy_proto::raft::v1;
use convoy_proto::raft::v1::raft_message::Body;
use raft::eraftpb::{Entry, EntryType, Message, MessageType, Snapshot};
use raft::{Ready, StateRole};

use super::{Mutation, Replica, Step};
use crate::error::{Fatal, Rejected};
use crate::membership::{self, Members};
use crate::output::{Committed, Output, ProposalId, SnapshotToSend};
use crate::payload;
use crate::storage::entry_bytes;
use crate::wire::{hard_state_to_journal, outgoing, to_journal};

/// So many bytes of commands are an entry worth its fsync, also while another is under way: hundreds of small ones.
const ENOUGH_BYTES: u64 = 64 << 10;

/// Where messages go.
pub(super) type Send<'a> = dyn FnMut(ReplicaId, v1::RaftMessage) + 'a;

impl<D: Disk> Replica<D> {
    /// Does everything that is due. A message goes to `send` as soon as it may leave: a leader's entries before its own
    /// fsync, so that followers write at the same time; whatever promises something after it. `out` is added to.
    ///
    /// # Errors
    /// If this replica can't go on. Messages that were given to `send` before are valid.
    pub fn advance(&mut self, send: &mut Send<'_>, out: &mut Output) -> Result<(), Fatal> {
        while let Some(step) = self.next_step(send, out)? {
            step.complete(send, out)?;
        }
        Ok(())
    }

    /// As [`advance`](Self::advance), for callers that have something to do before the disk is waited for: begins one step,
    /// which gives `send` what need not wait. None when nothing is due any more; only then is `out` complete.
    ///
    /// # Errors
    /// As `advance`.
    pub fn next_step(
        &mut self,
        send: &mut Send<'_>,
        out: &mut Output,
    ) -> Result<Option<Step<'_, D>>, Fatal> {
        if let Some(why) = self.condemned.take() {
            return Err(self.stop(why));
        }
        if self.has_stopped {
            return Err(Fatal::Stopped);
        }
        self.send_refusals(send);
        self.propose_waiting();
        self.begin_reads();
        if !self.raw.has_ready() {
            self.announce(out);
            return Ok(None);
        }
        let mut ready = self.raw.ready();
        self.send_all(ready.take_messages(), send, out);
        Ok(Some(Step::of(self, ready)))
    }

    fn send_refusals(&mut self, send: &mut Send<'_>) {
        let (envelope, term) = (self.envelope(), self.raw.raft.term);
        for (to, refusal) in std::mem::take(&mut self.refusals) {
            send(
                ReplicaId(to),
                envelope.seal(to, term, Body::Refusal(refusal)),
            );
        }
    }

    /// Puts waiting commands into entries, as long as raft-rs takes them. Those that come while an entry is under way share
    /// the next one, which is their own fsync on every replica and their own messages; only many need not wait for its end.
    fn propose_waiting(&mut self) {
        while self.proposals.has_waiting() && self.raw.raft.state == StateRole::Leader {
            let log = &self.raw.raft.raft_log;
            let enough = ENOUGH_BYTES.min(self.config.limits.max_entry_bytes);
            if log.committed < log.last_index() && self.proposals.waiting_bytes() < enough {
                return;
            }
            let batch = self
                .proposals
                .next_batch(self.config.limits.max_entry_bytes);
            let ids: Vec<ProposalId> = batch.iter().map(|(id, _)| *id).collect();
            let data = payload::encode(self.author, batch.clone());
            if !self.raw_propose(data) {
                self.proposals.put_back(batch);
                return;
            }
            let term = self.raw.raft.term;
            for id in ids {
                self.proposals.is_in_flight(id, term);
            }
        }
    }

    /// Whether raft-rs took it. If not, too much is uncommitted, or leadership is being handed over: it waits.
    fn raw_propose(&mut self, data: bytes::Bytes) -> bool {
        let entry = Entry {
            data,
            ..Entry::default()
        };
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgPropose);
        message.set_entries(vec![entry].into());
        self.raw.raft.step(message).is_ok()
    }

    /// Waiting reads begin a round together.
    fn begin_reads(&mut self) {
        let raft = &self.raw.raft;
        let from = (raft.leader_id, raft.term);
        let has_changed = from != self.reading_from;
        self.reading_from = from;
        let is_leader = raft.state == StateRole::Leader;
        let oldest = self.now.saturating_sub(self.config.read_retry_ticks());
        self.reads
            .retry(|sent| has_changed || (!is_leader && sent < oldest));
        // A leader repeats a round that gets lost with its next heartbeat; what a follower sends may be lost for long.
        if !self.reads.has_waiting() || (is_leader && self.reads.has_round()) {
            return;
        }
        if self.mutation == Some(Mutation::AnswerReadsAtOnce) {
            self.reads.confirm_waiting(raft.raft_log.committed);
            return;
        }
        // raft-rs drops a read without a word if there is no leader, and a leader does until it has committed in its term.
        let can_begin = match raft.state {
            StateRole::Leader => raft.commit_to_current_term(),
            StateRole::Follower => raft.leader_id != raft::INVALID_ID,
            StateRole::Candidate | StateRole::PreCandidate => false,
        };
        if can_begin {
            let name = self.reads.begin_round(self.author, self.now);
            self.raw.read_index(name.to_vec());
        }
    }

    /// The rest of a step.
    pub(super) fn complete(
        &mut self,
        mut ready: Ready,
        send: &mut Send<'_>,
        out: &mut Output,
    ) -> Result<(), Fatal> {
        let promising = ready.take_persisted_messages();
        if self.mutation == Some(Mutation::SendBeforeSync) {
            self.send_all(promising, send, out);
            self.persist(&mut ready, out)?;
        } else {
            self.persist(&mut ready, out)?;
            self.send_all(promising, send, out);
        }
        for state in ready.take_read_states() {
            self.reads
                .confirm(self.author, &state.request_ctx, state.index);
        }
        let mut committed = ready.take_committed_entries();
        let mut light = self.raw.advance_append(ready);
        if let Some(commit) = light.commit_index() {
            self.hard_state.commit = commit;
        }
        self.send_all(light.take_messages(), send, out);
        committed.append(&mut light.take_committed_entries());
        for entry in committed {
            self.hand_out(entry, out)?;
        }
        // raft-rs looks here for changes of members that are under way, and leaves a joint configuration.
        if self.applied.index > self.raw.raft.raft_log.applied {
            self.raw.advance_apply_to(self.applied.index);
        }
        self.settle_timeout(false);
        Ok(())
    }

    fn send_all(&mut self, messages: Vec<Message>, send: &mut Send<'_>, out: &mut Output) {
        let envelope = self.envelope();
        for message in messages {
            let to = ReplicaId(message.to);
            let is_snapshot = message.get_msg_type() == MessageType::MsgSnapshot;
            let meta = is_snapshot.then(|| meta_of(message.get_snapshot()));
            let births = || self.births.all().collect();
            let Some(message) = outgoing(envelope, message, births) else {
                continue;
            };
            match meta {
                Some(meta) => {
                    let snapshot = SnapshotToSend { to, meta, message };
                    out.snapshots_to_send.push(snapshot);
                }
                None => send(to, message),
            }
        }
    }

    /// Everything that a message or a commit may rest on is on the disk when this returns.
    fn persist(&mut self, ready: &mut Ready, out: &mut Output) -> Result<(), Fatal> {
        if !ready.snapshot().is_empty() {
            let meta = meta_of(ready.snapshot());
            self.install(meta, out)?;
        }
        if let Some(state) = ready.hs() {
            self.hard_state = hard_state_to_journal(state);
        }
        if !ready.must_sync() {
            // At most the commit is new. It is written with the next group and in front of no other: see the crate's
            // documentation.
            return Ok(());
        }
        let entries = ready.take_entries();
        self.write(&entries)?;
        self.bytes_since_snapshot += entries.iter().map(entry_bytes).sum::<u64>();
        self.raw.mut_store().append(&entries);
        Ok(())
    }

    /// With one sync. A write can be torn, and then a change of members must not be found without the fact that the change
    /// before it is committed: so the commit is written in front of each change.
    fn write(&mut self, entries: &[Entry]) -> Result<(), Fatal> {
        let is_change = |entry: &Entry| entry.get_entry_type() != EntryType::EntryNormal;
        let mut rest: Vec<_> = entries.iter().map(to_journal).collect();
        let mut changes = entries.iter().enumerate().skip(1);
        let mut written = 0;
        while let Some((place, _)) = changes.find(|(_, entry)| is_change(entry)) {
            let later = rest.split_off(place - written);
            written = place;
            let last = rest.last().map_or(0, |entry| entry.index);
            let hard_state = HardState {
                commit: self.hard_state.commit.min(last),
                ..self.hard_state
            };
            self.journal.append(Some(hard_state), &rest, false)?;
            rest = later;
        }
        let is_synced = self.mutation != Some(Mutation::AcknowledgeBeforeSync);
        self.journal
            .append(Some(self.hard_state), &rest, is_synced)?;
        Ok(())
    }

    /// A leader's snapshot, whose file is in place, takes the place of state and log.
    fn install(&mut self, meta: SnapshotMeta, out: &mut Output) -> Result<(), Fatal> {
        self.journal.restart_after(meta.position())?;
        self.applied = meta.position();
        self.members = Members::from_conf_state(&membership::conf_state(&meta));
        self.are_members_new = true;
        self.bytes_since_snapshot = 0;
        // What was handed out in this call and is not applied yet is contained in the snapshot.
        for committed in out.committed.drain(..) {
            if let Some(id) = committed.proposal {
                out.rejected.push((id, Rejected::Unknown));
            }
        }
        out.restore = Some(meta.clone());
        self.raw.mut_store().restart_after(meta);
        Ok(())
    }

    fn hand_out(&mut self, entry: Entry, out: &mut Output) -> Result<(), Fatal> {
        let position = Position {
            index: entry.index,
            term: entry.term,
        };
        assert_eq!(
            position.index,
            self.applied.index + 1,
            "entries come in order"
        );
        self.applied = position;
        let malformed = |reason: String| Fatal::MalformedEntry {
            index: position.index,
            reason,
        };
        match entry.get_entry_type() {
            // A new leader's first entry.
            EntryType::EntryNormal if entry.data.is_empty() => {}
            EntryType::EntryNormal => {
                let (is_own, commands) =
                    payload::decode(self.author, entry.data).map_err(malformed)?;
                for command in commands {
                    let id = ProposalId(command.proposal);
                    out.committed.push(Committed {
                        index: position.index,
                        term: position.term,
                        proposal: if is_own {
                            self.proposals.committed(id)
                        } else {
                            None
                        },
                        data: command.data,
                    });
                }
            }
            EntryType::EntryConfChange | EntryType::EntryConfChangeV2 => {
                self.apply_change(position.index, entry.data, out)
                    .map_err(malformed)?;
            }
        }
        Ok(())
    }

    fn apply_change(
        &mut self,
        index: u64,
        data: bytes::Bytes,
        out: &mut Output,
    ) -> Result<(), String> {
        let (change, proposer) = membership::decode(data)?;
        match self.raw.apply_conf_change(&change) {
            Ok(state) => {
                self.members = Members::from_conf_state(&state);
                self.are_members_new = true;
            }
            // The same on every replica, since all apply it to the same members.
            Err(error) => tracing::error!(index, %error, "a change of members has no effect"),
        }
        if let Some(proposer) = proposer.filter(|proposer| self.author.is(proposer))
            && let Some(id) = self.proposals.committed(ProposalId(proposer.proposal))
        {
            out.changed.push((id, index));
        }
        let raft = &mut self.raw.raft;
        if raft.state == StateRole::Leader && !raft.promotable() {
            // Removed while it led. raft-rs lets it go on and panics at its next commit.
            raft.become_follower(raft.term, raft::INVALID_ID);
        }
        Ok(())
    }

    /// Everything that is not a message or an entry.
    fn announce(&mut self, out: &mut Output) {
        let raft = &self.raw.raft;
        let leading = (raft.state == StateRole::Leader).then_some(raft.term);
        self.proposals.reject_lost(leading);
        if leading.is_none() {
            let leader = self.known_leader();
            self.proposals
                .reject_waiting(&Rejected::NotLeader { leader });
        }
        out.rejected.append(&mut self.proposals.take_rejected());
        out.reads.append(&mut self.reads.take_answered());
        out.applied = self.applied.index;
        let role = self.role();
        if self.announced_role != Some(role) {
            self.announced_role = Some(role);
            out.role = Some(role);
        }
        if self.are_members_new {
            self.are_members_new = false;
            out.members = Some(self.members.clone());
        }
        let store = self.raw.store();
        let newest = store.snapshot_meta().map_or(0, |meta| meta.index);
        out.snapshot_due = self.applied.index > newest
            && (store.is_snapshot_wanted()
                || self.bytes_since_snapshot > self.config.limits.compact_after_bytes);
    }
}

fn meta_of(snapshot: &Snapshot) -> SnapshotMeta {
    let metadata = snapshot.get_metadata();
    let members = Members::from_conf_state(metadata.get_conf_state());
    members.to_meta(metadata.index, metadata.term)
}
