//! The coordinators themselves: who joins and leaves, where they are, and what all of them support.

use std::collections::BTreeMap;

use convoy_common::ids::ReplicaId as MemberId;
use convoy_consensus::{Members, MembershipChange, Rejected, ReplicaId};
use convoy_state_machine::replica::Replica as Member;
use convoy_state_machine::version::ClusterVersion;
use convoy_state_machine::{Answer, Cluster, Command, Refusal};

use super::{Leader, Pending, Refused, Reply, Waiting, clients};
use crate::consensus::Log;

mod requests;

/// Ticks between two tries to make a learner a voter: it takes a second to catch up, or hours.
const PROMOTION_TICKS: u32 = 5;

/// How the build of a coordinator is named that was added and not heard yet.
const UNHEARD_BUILD: &str = "unknown";

/// What a leader knows of the coordinators beyond the state.
#[derive(Debug, Default)]
pub(super) struct Membership {
    /// Who votes and learns, from consensus.
    members: Members,
    /// As each said of itself.
    introductions: BTreeMap<MemberId, Member>,
    /// What was proposed of it in this term.
    announced: BTreeMap<MemberId, Member>,
    /// Newcomers, each with whose place it takes.
    replacements: BTreeMap<ReplicaId, ReplicaId>,
    /// Newcomers, each with the `HOST:PORT` under which it was added.
    asked: BTreeMap<ReplicaId, String>,
    is_promoting: bool,
    ticks: u32,
}

/// What a change of coordinators waits for.
#[derive(Debug)]
pub(super) enum MemberStep {
    /// The newcomer's address is in the state; then it is added.
    Known {
        replica: ReplicaId,
        reply: Option<Reply<()>>,
    },
    Added {
        reply: Option<Reply<()>>,
    },
    Removed {
        replica: ReplicaId,
        reply: Option<Reply<()>>,
    },
    /// A newcomer votes, perhaps in the place of another.
    Promoted {
        replaced: Option<ReplicaId>,
    },
}

impl Membership {
    pub(super) fn of(own: (MemberId, Member)) -> Self {
        Self {
            introductions: [own].into(),
            ..Self::default()
        }
    }

    /// What was begun in a term is begun anew in the next.
    pub(super) fn end_term(&mut self) {
        self.announced.clear();
        self.replacements.clear();
        self.asked.clear();
        self.is_promoting = false;
    }
}

impl<L: Log> Leader<L> {
    pub(super) fn members_changed(&mut self, members: Members) {
        self.membership.members = members;
    }

    /// Remembers what another coordinator said of itself.
    ///
    /// One whose build is too old for the cluster can't apply what is committed, and is no part of it until it is upgraded.
    pub(super) fn introduced(&mut self, replica: MemberId, member: Member) -> Result<(), Refused> {
        let (needed, supports) = (self.cluster.version(), member.supports);
        if supports < needed {
            let build = member.build;
            return Err(Refused::State(Refusal::ReplicaTooOld {
                replica,
                build,
                supports,
                needed,
            }));
        }
        self.membership.introductions.insert(replica, member);
        Ok(())
    }

    fn announce_newcomer(&mut self, replica: ReplicaId, address: String, reply: Option<Reply<()>>) {
        self.membership.asked.insert(replica, address.clone());
        let command = Command::SetMember {
            replica: MemberId(replica.0),
            member: Member {
                raft_address: address.clone(),
                api_address: address,
                build: UNHEARD_BUILD.to_owned(),
                supports: self.cluster.version(),
            },
        };
        let step = MemberStep::Known { replica, reply };
        self.propose(command, Waiting::Member(step));
    }

    fn forget_member(&mut self, replica: ReplicaId, waiting: Waiting) {
        let replica = MemberId(replica.0);
        self.propose(Command::RemoveMember { replica }, waiting);
    }

    fn change_members(&mut self, change: MembershipChange, step: MemberStep) {
        let proposal = self.log.change(change);
        let pending = Pending {
            waiting: Waiting::Member(step),
            command: None,
        };
        self.waiting.insert(proposal, pending);
    }

    /// The command of a step was applied, or refused.
    pub(super) fn member_answered(&mut self, step: MemberStep, answer: Answer) {
        let MemberStep::Known { replica, reply } = step else {
            return tracing::error!(?step, "is no step that a command ends");
        };
        match clients::done(answer) {
            Ok(()) => {
                let step = MemberStep::Added { reply };
                self.change_members(MembershipChange::AddLearner(replica), step);
            }
            Err(refused) => tell(reply, Err(refused)),
        }
    }

    /// The change of a step is committed.
    pub(super) fn member_changed(&mut self, step: MemberStep) {
        match step {
            MemberStep::Known { .. } => {}
            MemberStep::Added { reply } => tell(reply, Ok(())),
            MemberStep::Removed { replica, reply } => {
                let waiting = reply.map_or(Waiting::Nobody, Waiting::Client);
                self.forget_member(replica, waiting);
            }
            MemberStep::Promoted { replaced } => {
                self.membership.is_promoting = false;
                if let Some(replaced) = replaced {
                    self.forget_member(replaced, Waiting::Nobody);
                }
            }
        }
    }

    pub(super) fn member_rejected(&mut self, step: MemberStep, why: Rejected) {
        match step {
            MemberStep::Known { reply, .. }
            | MemberStep::Added { reply }
            | MemberStep::Removed { reply, .. } => {
                tracing::info!(%why, "change of coordinators rejected");
                let refused = self.refused(why);
                tell(reply, Err(refused));
            }
            MemberStep::Promoted { .. } => {
                tracing::debug!(%why, "no learner is promoted");
                self.membership.is_promoting = false;
            }
        }
    }

    /// What a leader does about the coordinators as time goes by.
    pub(super) fn look_after_members(&mut self) {
        self.announce_members();
        if let Some(version) = next_version(&self.cluster, &self.membership.members) {
            tracing::info!(%version, "all coordinators support a newer cluster version");
            self.propose(Command::SetClusterVersion { version }, Waiting::Nobody);
        }
        self.membership.ticks += 1;
        if self.membership.ticks >= PROMOTION_TICKS {
            self.membership.ticks = 0;
            self.promote();
        }
    }

    /// Writes down what members said of themselves, where it is new.
    fn announce_members(&mut self) {
        let Membership {
            members,
            introductions,
            announced,
            ..
        } = &mut self.membership;
        let cluster = &self.cluster;
        let new = introductions.iter().filter(|(id, member)| {
            members.contains(ReplicaId(id.0))
                && cluster.replica(**id) != Some(*member)
                && announced.get(*id) != Some(*member)
        });
        let new: Vec<(MemberId, Member)> = new.map(|(id, member)| (*id, member.clone())).collect();
        announced.extend(new.iter().cloned());
        for (replica, member) in new {
            self.propose(Command::SetMember { replica, member }, Waiting::Nobody);
        }
    }

    /// Tries to make a learner a voter; consensus says whether it has caught up.
    fn promote(&mut self) {
        let membership = &mut self.membership;
        let members = &membership.members;
        let Some(&promote) = members.learners.first() else {
            return;
        };
        if membership.is_promoting || members.is_joint() {
            return;
        }
        let replaced = membership.replacements.get(&promote).copied();
        let replaced = replaced.filter(|old| members.contains(*old));
        if replaced == Some(self.directory.own_id()) {
            return self.log.hand_over();
        }
        membership.is_promoting = true;
        let change = match replaced {
            Some(remove) => MembershipChange::Replace { remove, promote },
            None => MembershipChange::Promote(promote),
        };
        self.change_members(change, MemberStep::Promoted { replaced });
    }
}

fn tell(reply: Option<Reply<()>>, answer: Result<(), Refused>) {
    if let Some(reply) = reply {
        reply.give(answer);
    }
}

/// The cluster version to go on to: the newest one that all members support, if that is newer than the committed one.
fn next_version(cluster: &Cluster, members: &Members) -> Option<ClusterVersion> {
    let everyone = members.voters.iter().chain(&members.learners);
    let mut newest = ClusterVersion::NEWEST;
    for id in everyone {
        newest = newest.min(cluster.replica(MemberId(id.0))?.supports);
    }
    (newest > cluster.version()).then_some(newest)
}
