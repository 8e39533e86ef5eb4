//! Changes of members and of the leader.

use convoy_journal::Disk;
use raft::eraftpb::{Entry, EntryType, Message, MessageType};

use super::Replica;
use crate::config::ReplicaId;
use crate::error::Rejected;
use crate::membership::{CAUGHT_UP_ENTRIES, MembershipChange};
use crate::output::ProposalId;

impl<D: Disk> Replica<D> {
    /// Changes who belongs to the group. Answered by [`Output::changed`](crate::Output::changed) or
    /// [`Output::rejected`](crate::Output::rejected). A change of several at once goes through a joint configuration,
    /// which ends by itself; it is answered when that begins, and the next change has to wait until it ends.
    pub fn change_membership(&mut self, id: ProposalId, change: MembershipChange) {
        match self.propose_change(id, change) {
            Ok(term) => self.proposals.is_in_flight(id, term),
            Err(why) => self.proposals.reject(id, why),
        }
    }

    /// The term it was proposed in.
    fn propose_change(
        &mut self,
        id: ProposalId,
        change: MembershipChange,
    ) -> Result<u64, Rejected> {
        self.check_leadership()?;
        let raft = &self.raw.raft;
        // The rule of Ongaro's correction of 2015: first an entry of the own term.
        if !raft.commit_to_current_term() {
            return Err(Rejected::NotSettled);
        }
        // raft-rs would replace the change by an empty command and say nothing.
        if raft.has_pending_conf() || self.members.is_joint() {
            return Err(Rejected::ChangeUnderWay);
        }
        change.check(&self.members, self.config.id)?;
        if let Some(replica) = change.promoted() {
            self.check_caught_up(replica)?;
        }
        let mut entry = Entry {
            data: change.encode(&self.author.proposer(id)),
            ..Entry::default()
        };
        entry.set_entry_type(EntryType::EntryConfChangeV2);
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgPropose);
        message.set_entries(vec![entry].into());
        self.raw.raft.step(message).map_err(|_| {
            // The one reason that is left: too much is uncommitted.
            Rejected::Busy {
                waiting_bytes: self.raw.raft.uncommitted_size() as u64,
                limit_bytes: self.config.limits.max_uncommitted_bytes,
            }
        })?;
        Ok(self.raw.raft.term)
    }

    fn check_caught_up(&self, replica: ReplicaId) -> Result<(), Rejected> {
        let raft = &self.raw.raft;
        let last_index = raft.raft_log.last_index();
        let (matched, is_active) = raft.prs().get(replica.0).map_or((0, false), |progress| {
            (progress.matched, progress.recent_active)
        });
        // With nothing it would be taken for a voter that lost its disk, however short the leader's log is.
        if is_active && matched > 0 && matched + CAUGHT_UP_ENTRIES >= last_index {
            return Ok(());
        }
        Err(Rejected::NotCaughtUp {
            replica,
            matched,
            last_index,
            is_active,
        })
    }

    /// Hands leadership over. Commands that arrive meanwhile are rejected; if `to` doesn't take over within an election
    /// timeout, this replica goes on leading.
    ///
    /// # Errors
    /// If this is no leader, or `to` is no other voter.
    pub fn transfer_leadership(&mut self, to: ReplicaId) -> Result<(), Rejected> {
        match self.check_leadership() {
            // Another target takes the place of this one.
            Ok(()) | Err(Rejected::Transferring { .. }) => {}
            Err(why) => return Err(why),
        }
        if to == self.config.id || !self.members.is_voter(to) {
            let reason = format!("{to} is no other voter, so it cannot become leader");
            return Err(Rejected::NoSuchChange { reason });
        }
        self.raw.transfer_leader(to.0);
        self.settle_timeout(false);
        Ok(())
    }
}
