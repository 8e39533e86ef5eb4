//! What is asked about the coordinators. Each request is checked before anything changes: what can't be meant is refused.

use convoy_common::ids::ReplicaId as MemberId;
use convoy_consensus::{MembershipChange, ReplicaId};

use super::MemberStep;
use crate::consensus::Log;
use crate::leader::{
    KnownMembers, Leader, MemberRequest, Refused, ReplaceProgress, Reply, Waiting,
};

impl<L: Log> Leader<L> {
    pub(in crate::leader) fn member_requested(&mut self, request: MemberRequest) {
        match request {
            MemberRequest::Known { reply } => {
                let replicas = self.cluster.replicas();
                reply.give(Ok(KnownMembers {
                    version: self.cluster.version(),
                    members: replicas
                        .map(|(id, member)| (ReplicaId(id.0), member.clone()))
                        .collect(),
                }));
            }
            MemberRequest::Add {
                replica,
                address,
                departed,
                reply,
            } => match self.check_newcomer(replica, &address, &departed) {
                Err(refused) => reply.give(Err(refused)),
                Ok(()) if self.membership.members.contains(replica) => reply.give(Ok(())),
                Ok(()) => self.announce_newcomer(replica, address, Some(reply)),
            },
            MemberRequest::Remove {
                replica,
                departed,
                reply,
            } => self.remove_member(replica, &departed, reply),
            MemberRequest::Replace {
                old,
                new,
                address,
                departed,
                reply,
            } => {
                let progress = self.replace_member(old, new, address, &departed);
                reply.give(progress);
            }
        }
    }

    fn remove_member(&mut self, replica: ReplicaId, departed: &[ReplicaId], reply: Reply<()>) {
        let members = &self.membership.members;
        if !members.contains(replica) {
            if !self.was_member(replica, departed) {
                return reply.give(Err(self.no_such_member(replica)));
            }
            return self.forget_member(replica, Waiting::Client(reply));
        }
        if replica == self.directory.own_id() {
            if members.voters.len() == 1 {
                let why = format!("{replica} is the last coordinator that votes");
                return reply.give(Err(Refused::Change(why)));
            }
            // The next leader is asked again, and can.
            self.log.hand_over();
            return reply.give(Err(Refused::NotLeader { leader: None }));
        }
        let reply = Some(reply);
        let step = MemberStep::Removed { replica, reply };
        self.change_members(MembershipChange::Remove(replica), step);
    }

    /// Does the next step, whichever that is after those that were done under this leader or another.
    fn replace_member(
        &mut self,
        old: ReplicaId,
        new: ReplicaId,
        address: String,
        departed: &[ReplicaId],
    ) -> Result<ReplaceProgress, Refused> {
        let membership = &self.membership;
        let is_old_there = membership.members.contains(old);
        let was_replaced = membership.replacements.get(&new) == Some(&old);
        if !is_old_there && !was_replaced && !self.was_member(old, departed) {
            return Err(self.no_such_member(old));
        }
        self.check_newcomer(new, &address, departed)?;
        let does_new_vote = membership.members.is_voter(new);
        if !is_old_there {
            if does_new_vote {
                return Ok(ReplaceProgress::Done);
            }
            let (old, new) = (old.0, new.0);
            let why = format!("coordinator {old} has left already: add coordinator {new} instead");
            return Err(Refused::Change(why));
        }
        if does_new_vote {
            if old == self.directory.own_id() {
                self.log.hand_over();
                return Err(Refused::NotLeader { leader: None });
            }
            let step = MemberStep::Removed {
                replica: old,
                reply: None,
            };
            self.change_members(MembershipChange::Remove(old), step);
            return Ok(ReplaceProgress::WaitsFor(format!("{old} to leave")));
        }
        self.membership.replacements.insert(new, old);
        if self.membership.members.contains(new) {
            return Ok(ReplaceProgress::WaitsFor(format!("{new} to catch up")));
        }
        self.announce_newcomer(new, address, None);
        Ok(ReplaceProgress::WaitsFor(format!("{new} to be added")))
    }

    /// That it either belongs to the group, and is known at this address, or never belonged to it.
    fn check_newcomer(
        &self,
        replica: ReplicaId,
        address: &str,
        departed: &[ReplicaId],
    ) -> Result<(), Refused> {
        let id = replica.0;
        if self.membership.members.contains(replica) {
            let known = self.known_addresses(replica);
            if known.iter().any(|known| known == address) {
                return Ok(());
            }
            let known = known.first();
            let known = known.map_or_else(
                || "an address that is not known".to_owned(),
                |known| format!("http://{known}"),
            );
            return Err(Refused::Change(format!(
                "coordinator {id} is a member at {known} already, not at http://{address}: give its own address to go on with a \
                 change of it that was interrupted, or give a new coordinator an id that none ever had"
            )));
        }
        if departed.contains(&replica) {
            return Err(Refused::Change(format!(
                "there was a coordinator {id} before, and an id is not used again: give the new one an id that none ever had"
            )));
        }
        Ok(())
    }

    /// Each as `HOST:PORT`; the one that is shown comes first.
    fn known_addresses(&self, replica: ReplicaId) -> Vec<String> {
        let shown = self.directory.address_of(replica);
        let shown = shown.map(|address| format!("{}:{}", address.host(), address.port()));
        let member = self.cluster.replica(MemberId(replica.0));
        let said = member.map(|member| [&member.raft_address, &member.api_address]);
        // A newcomer may call itself something else than who added it does, as soon as it is heard.
        let asked = self.membership.asked.get(&replica);
        let others = said.into_iter().flatten().chain(asked).cloned();
        shown.into_iter().chain(others).collect()
    }

    /// Whether it belonged to the group, of which it is no part now.
    fn was_member(&self, replica: ReplicaId, departed: &[ReplicaId]) -> bool {
        departed.contains(&replica) || self.cluster.replica(MemberId(replica.0)).is_some()
    }

    fn no_such_member(&self, replica: ReplicaId) -> Refused {
        let members = &self.membership.members;
        let voters = members.voters.iter().chain(&members.voters_outgoing);
        let learners = members.learners.iter().chain(&members.learners_next);
        let mut ids: Vec<u64> = voters.chain(learners).map(|id| id.0).collect();
        ids.sort_unstable();
        ids.dedup();
        let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
        let (id, there) = (replica.0, ids.join(", "));
        Refused::Change(format!("there is no coordinator {id}, there are {there}"))
    }
}
