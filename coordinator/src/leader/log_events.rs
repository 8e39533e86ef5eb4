//! What the log says: what is applied, and what became of proposals.

use convoy_consensus::Rejected;
use convoy_state_machine::command::Reach;
use convoy_state_machine::{Cluster, Command, Envelope};

use super::{Leader, Pending, Refused, Waiting};
use crate::consensus::{Log, LogEvent, ProposalId};

impl<L: Log> Leader<L> {
    pub(super) fn log_says(&mut self, event: LogEvent) {
        match event {
            LogEvent::Restored(cluster) => self.restored(*cluster),
            LogEvent::Committed { proposal, envelope } => self.apply(proposal, envelope),
            LogEvent::Applied(index) => {
                self.applied = index;
                self.serve_reads();
            }
            LogEvent::Changed(proposal) => self.changed(proposal),
            LogEvent::Rejected(proposal, why) => self.rejected(proposal, why),
            LogEvent::ReadReady(read, answer) => self.read_ready(read, answer),
            LogEvent::MembersChanged(members) => self.members_changed(members),
            LogEvent::RoleChanged(role) => self.role_changed(role),
            LogEvent::SnapshotWanted(meta) => {
                debug_assert_eq!(self.applied, meta.index, "the state is the one to save");
                self.log.save(meta, self.cluster.clone());
            }
        }
    }

    /// Only a follower's state is ever replaced.
    fn restored(&mut self, cluster: Cluster) {
        self.cluster = cluster;
        self.log.publish_addresses(&self.cluster);
    }

    fn apply(&mut self, proposal: Option<ProposalId>, envelope: Envelope) {
        let command = &envelope.command;
        if let Err(too_old) = self.cluster.check_build(command) {
            // To skip it would make this replica differ from the others.
            self.failure.end(&too_old.to_string());
            panic!("{too_old}");
        }
        tracing::debug!(?command, "applies");
        let (job, reach) = (command.job().cloned(), command.reach());
        let is_about_members = matches!(
            command,
            Command::SetMember { .. } | Command::RemoveMember { .. }
        );
        if self.leads() {
            self.mark_node(command);
        }
        let answer = self.cluster.apply(envelope);
        if is_about_members {
            self.log.publish_addresses(&self.cluster);
        }
        if self.leads() {
            self.mark_reached(job.as_ref(), reach, &answer);
            self.attention |= reach >= Reach::Job;
        }
        let pending = proposal.and_then(|proposal| self.take_pending(proposal));
        let waiting = pending.map_or(Waiting::Nobody, |pending| pending.waiting);
        self.answer(waiting, answer, job);
    }

    /// A change of members is committed.
    fn changed(&mut self, proposal: ProposalId) {
        if let Some(Pending {
            waiting: Waiting::Member(step),
            ..
        }) = self.take_pending(proposal)
        {
            self.member_changed(step);
        }
    }

    fn rejected(&mut self, proposal: ProposalId, why: Rejected) {
        let Some(Pending { waiting, command }) = self.take_pending(proposal) else {
            return;
        };
        tracing::debug!(%why, "proposal rejected");
        match waiting {
            Waiting::Submit(reply) => reply.give(Err(self.refused(why))),
            Waiting::Client(reply) => reply.give(Err(self.refused(why))),
            Waiting::Register(attach) => attach.reply.give(Err(self.refused_for_now(why))),
            Waiting::Decision(job) => {
                // Decided anew at the next tick. An attempt that was about to be committed begins anew as well.
                if let Some(live) = self.live.get_mut(&job) {
                    live.forming = None;
                }
            }
            Waiting::Member(step) => self.member_rejected(step, why),
            Waiting::Report(_) | Waiting::Nobody => {
                if self.leads()
                    && let Some(command) = command
                {
                    tracing::warn!(%why, command = ?command.command, "proposed again later");
                    self.again.push((command, waiting));
                }
            }
        }
    }

    /// What a client is told.
    pub(super) fn refused(&self, why: Rejected) -> Refused {
        match why {
            Rejected::NotLeader { .. } | Rejected::Transferring { .. } => self.not_leader(),
            Rejected::Unknown => Refused::Undecided {
                leader: self.directory.other_leader(),
            },
            Rejected::Stopped => Refused::ShuttingDown,
            Rejected::TooLarge { .. } => Refused::Invalid(why.to_string()),
            Rejected::Busy { .. } | Rejected::TimedOut { .. } | Rejected::NotSettled => {
                Refused::NotNow(why.to_string())
            }
            Rejected::DiskFull { reason } => Refused::DiskFull { reason },
            Rejected::ChangeUnderWay
            | Rejected::NoSuchChange { .. }
            | Rejected::NotCaughtUp { .. }
            | Rejected::RemovesLeader { .. } => Refused::Change(why.to_string()),
        }
    }

    /// What an agent is told, which tries again whatever the reason.
    fn refused_for_now(&self, why: Rejected) -> Refused {
        if let Rejected::DiskFull { reason } = why {
            return Refused::NotNow(reason);
        }
        self.refused(why)
    }
}
