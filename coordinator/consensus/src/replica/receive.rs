//! Messages of the other replicas.

use convoy_journal::Disk;
use convoy_proto::raft::v1;
use raft::StateRole;
use raft::eraftpb::{EntryType, Message, MessageType};

use super::start::FOUNDING_TERM;
use super::{Mutation, Replica};
use crate::births;
use crate::config::ReplicaId;
use crate::error::{Fatal, Refused};
use crate::wire::{Incoming, incoming};

impl<D: Disk> Replica<D> {
    /// Takes a message. One that brings a snapshot is handed in when the snapshot's file is in place.
    ///
    /// # Errors
    /// Why the message was refused; nothing happened then.
    pub fn receive(&mut self, message: v1::RaftMessage) -> Result<(), Refused> {
        if self.is_stopping() {
            return Err(Refused::Stopped);
        }
        let (from, birth) = (ReplicaId(message.from), message.birth);
        self.check_envelope(&message)?;
        let checked = incoming(message).map_err(|reason| Refused::Malformed { from, reason })?;
        self.learn_birth(from.0, birth)?;
        match checked {
            Incoming::Refusal(refusal) => {
                self.refused_by(from, &refusal);
                Ok(())
            }
            Incoming::Raft(message, births) => {
                for birth in births {
                    // One that can't be written now comes again with the next heartbeat.
                    match self.learn_birth(birth.replica, birth.birth) {
                        Ok(()) | Err(Refused::DiskFull { .. }) => {}
                        Err(why) => return Err(why),
                    }
                }
                self.check_against_log(from, &message)?;
                self.step(from, *message)
            }
        }
    }

    fn check_envelope(&mut self, message: &v1::RaftMessage) -> Result<(), Refused> {
        let own = self.config.id;
        let from = ReplicaId(message.from);
        if message.cluster != self.config.cluster {
            return Err(Refused::OtherCluster {
                given: message.cluster,
                own: self.config.cluster,
            });
        }
        if message.to != own.0 {
            let to = ReplicaId(message.to);
            return Err(Refused::Misdirected { to, own });
        }
        if from == own {
            return Err(Refused::OwnId { own });
        }
        if from.0 == 0 {
            let reason = "its sender is 0, which is no replica's id".to_owned();
            return Err(Refused::Malformed { from, reason });
        }
        match self.births.of(from.0) {
            Some(known)
                if known != message.birth
                    && self.mutation != Some(Mutation::TrustWipedReplicas) =>
            {
                let given = message.birth;
                let refusal = v1::Refusal {
                    known_birth: known,
                    given_birth: given,
                };
                self.refusals.push((from.0, refusal));
                Err(Refused::OtherBirth { from, known, given })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A birth is durable before anything is promised to its replica, or taken from it.
    fn learn_birth(&mut self, replica: u64, birth: u64) -> Result<(), Refused> {
        if let Some(known) = self.births.of(replica) {
            if known != birth {
                tracing::warn!(replica, known, birth, "two folders have the same id");
            }
            return Ok(());
        }
        match self.births.learn(replica, birth) {
            Ok(()) => Ok(()),
            Err(error) if births::is_full(&error) => Err(Refused::DiskFull {
                from: ReplicaId(replica),
                reason: format!("its folder cannot be written down: {error}"),
            }),
            Err(error) => {
                self.condemned = Some(Fatal::Journal(births::unknown(error)));
                Err(Refused::Stopped)
            }
        }
    }

    /// Who holds nothing that a leader sent is a newcomer, and its id belongs to another. Who does hold something goes on:
    /// it is the refusing one that may be mistaken.
    fn refused_by(&mut self, by: ReplicaId, refusal: &v1::Refusal) {
        let is_newcomer = self.raw.raft.raft_log.last_term() <= FOUNDING_TERM;
        if refusal.given_birth != self.birth || refusal.known_birth == self.birth {
            return;
        }
        if !is_newcomer {
            tracing::error!(%by, known = refusal.known_birth, own = self.birth, "refused: it knows another folder");
            return;
        }
        self.condemned = Some(Fatal::Impostor {
            by,
            own_id: self.config.id,
            known: refusal.known_birth,
            own: self.birth,
        });
    }

    /// What raft-rs takes for granted of messages, and would panic over.
    fn check_against_log(&mut self, from: ReplicaId, message: &Message) -> Result<(), Refused> {
        let raft = &self.raw.raft;
        let last_index = raft.raft_log.last_index();
        let kind = message.get_msg_type();
        let asks_for_vote = matches!(
            kind,
            MessageType::MsgRequestVote | MessageType::MsgRequestPreVote
        );
        if asks_for_vote && last_index == 0 {
            return Err(Refused::NothingLogged { from });
        }
        if let Some(reason) = &self.no_room
            && brings_commands(message)
        {
            let reason = reason.clone();
            return Err(Refused::DiskFull { from, reason });
        }
        // A leader tells a follower only of commits that the follower acknowledged.
        if kind == MessageType::MsgHeartbeat
            && message.term >= raft.term
            && message.commit > last_index
        {
            self.condemned = Some(Fatal::LostWrites {
                leader: from,
                acknowledged: message.commit,
                last_index,
            });
            return Err(Refused::Stopped);
        }
        let acknowledges = kind == MessageType::MsgAppendResponse && !message.reject;
        if acknowledges
            && raft.state == StateRole::Leader
            && message.term == raft.term
            && message.index > last_index
        {
            let reason = format!(
                "it acknowledges entry {}, and the leader's log ends with {last_index}",
                message.index
            );
            return Err(Refused::Malformed { from, reason });
        }
        Ok(())
    }

    fn step(&mut self, from: ReplicaId, message: Message) -> Result<(), Refused> {
        let stepped = self.raw.step(message);
        self.settle_timeout(false);
        match stepped {
            Ok(()) => Ok(()),
            Err(raft::Error::StepPeerNotFound) => Err(Refused::UnknownSender { from }),
            Err(error) => {
                let reason = error.to_string();
                Err(Refused::Malformed { from, reason })
            }
        }
    }
}

fn brings_commands(message: &Message) -> bool {
    let is_command = |entry: &raft::eraftpb::Entry| {
        entry.get_entry_type() == EntryType::EntryNormal && !entry.data.is_empty()
    };
    message.get_msg_type() == MessageType::MsgAppend && message.get_entries().iter().any(is_command)
}
