//! The coordinators themselves: how they are doing, and changes of who they are.

use std::time::Duration;

use convoy_common::address::CoordinatorAddress;
use convoy_consensus::{Members, PeerStatus, Rejected, ReplicaId, Role, Status as ReplicaStatus};
use convoy_proto::v1;
use convoy_proto::v1::coordinators_server::Coordinators;
use convoy_wire::redirect::Redirect;
use tokio::time::timeout;
use tonic::{Request, Response, Status};

use super::{Api, convert};
use crate::leader::{Event, KnownMembers, MemberRequest, Refused, ReplaceProgress};

/// Another leads within an election timeout of the offer, or none does.
const TRANSFER_LIMIT: Duration = Duration::from_secs(5);

#[tonic::async_trait]
impl Coordinators for Api {
    async fn status(
        &self,
        request: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusReply>, Status> {
        if !request.into_inner().any && !self.directory.leads() {
            let leader = self.directory.other_leader();
            return Err(Redirect { leader }.status());
        }
        let known = self
            .ask(|reply| Event::Member(MemberRequest::Known { reply }))
            .await?;
        let replica = self.replica_status().await?;
        Ok(Response::new(self.status_reply(&replica, &known)))
    }

    async fn add(
        &self,
        request: Request<v1::AddRequest>,
    ) -> Result<Response<v1::AddReply>, Status> {
        let v1::AddRequest { id, address } = request.into_inner();
        let (replica, address) = (replica_id(id)?, host_and_port(&address)?);
        let departed = self.replica_status().await?.departed;
        self.ask(|reply| {
            Event::Member(MemberRequest::Add {
                replica,
                address,
                departed,
                reply,
            })
        })
        .await?;
        Ok(Response::new(v1::AddReply {}))
    }

    async fn remove(
        &self,
        request: Request<v1::RemoveRequest>,
    ) -> Result<Response<v1::RemoveReply>, Status> {
        let replica = replica_id(request.into_inner().id)?;
        let departed = self.replica_status().await?.departed;
        self.ask(|reply| {
            Event::Member(MemberRequest::Remove {
                replica,
                departed,
                reply,
            })
        })
        .await?;
        Ok(Response::new(v1::RemoveReply {}))
    }

    async fn replace(
        &self,
        request: Request<v1::ReplaceRequest>,
    ) -> Result<Response<v1::ReplaceReply>, Status> {
        let v1::ReplaceRequest {
            old_id,
            new_id,
            address,
        } = request.into_inner();
        let (old, new) = (replica_id(old_id)?, replica_id(new_id)?);
        if old == new {
            let why = format!("{old} cannot take its own place: an id is not used again");
            return Err(Status::invalid_argument(why));
        }
        let address = host_and_port(&address)?;
        let departed = self.replica_status().await?.departed;
        let progress = self
            .ask(|reply| {
                Event::Member(MemberRequest::Replace {
                    old,
                    new,
                    address,
                    departed,
                    reply,
                })
            })
            .await?;
        let (is_done, waits_for) = match progress {
            ReplaceProgress::Done => (true, String::new()),
            ReplaceProgress::WaitsFor(what) => (false, what),
        };
        Ok(Response::new(v1::ReplaceReply { is_done, waits_for }))
    }

    async fn transfer_leader(
        &self,
        request: Request<v1::TransferLeaderRequest>,
    ) -> Result<Response<v1::TransferLeaderReply>, Status> {
        let to = request.into_inner().to.map(ReplicaId);
        let mut directory = self.directory.clone();
        // Asked again after it was done, by a client whose answer was lost.
        if let Some(leader) = directory.leader().filter(|leader| Some(*leader) == to) {
            return Ok(Response::new(v1::TransferLeaderReply { leader: leader.0 }));
        }
        self.replica
            .transfer(to)
            .await
            .map_err(|why| self.no_transfer(&why))?;
        match timeout(TRANSFER_LIMIT, directory.another_leads()).await {
            Ok(Some(leader)) => Ok(Response::new(v1::TransferLeaderReply { leader: leader.0 })),
            Ok(None) => Err(over()),
            Err(_) => Err(Status::deadline_exceeded(format!(
                "nobody took over within {TRANSFER_LIMIT:?}"
            ))),
        }
    }
}

impl Api {
    async fn replica_status(&self) -> Result<ReplicaStatus, Status> {
        self.replica.status().await.ok_or_else(over)
    }

    fn no_transfer(&self, why: &Rejected) -> Status {
        if matches!(why, Rejected::NotLeader { .. }) {
            let leader = self.directory.other_leader();
            return Redirect { leader }.status();
        }
        Status::failed_precondition(why.to_string())
    }

    fn status_reply(&self, replica: &ReplicaStatus, known: &KnownMembers) -> v1::StatusReply {
        let role = match replica.role {
            Role::Leader { .. } => v1::CoordinatorRole::Leader,
            Role::Follower { .. } => v1::CoordinatorRole::Follower,
            Role::Candidate { .. } => v1::CoordinatorRole::Candidate,
        };
        let members = everyone(&replica.members).into_iter();
        v1::StatusReply {
            id: replica.id.0,
            role: role.into(),
            term: replica.role.term(),
            leader: replica.role.leader(replica.id).map(|leader| leader.0),
            commit: replica.commit,
            applied: replica.applied,
            last_index: replica.last_index,
            snapshot_index: replica.snapshot_index,
            log_bytes: replica.journal_bytes,
            version: known.version.0,
            members: members
                .map(|(id, standing)| self.member(id, standing, replica, known))
                .collect(),
        }
    }

    fn member(
        &self,
        id: ReplicaId,
        standing: v1::CoordinatorStanding,
        replica: &ReplicaStatus,
        known: &KnownMembers,
    ) -> v1::CoordinatorMember {
        let described = known.members.iter().find(|(known, _)| *known == id);
        let described = described.map(|(_, member)| member);
        let address = self.directory.address_of(id);
        let progress = replica.peers.iter().find(|peer| peer.id == id);
        v1::CoordinatorMember {
            id: id.0,
            standing: standing.into(),
            address: address.map_or_else(String::new, |address| address.to_string()),
            build: described.map_or_else(String::new, |member| member.build.clone()),
            supports: described.map_or(0, |member| member.supports.0),
            progress: progress.map(progress_of),
        }
    }
}

fn progress_of(peer: &PeerStatus) -> v1::MemberProgress {
    v1::MemberProgress {
        matched: peer.matched,
        is_active: peer.is_active,
        needs_snapshot: peer.needs_snapshot,
    }
}

fn everyone(members: &Members) -> Vec<(ReplicaId, v1::CoordinatorStanding)> {
    let voters = members.voters.iter();
    let mut everyone: Vec<_> = voters
        .map(|id| (*id, v1::CoordinatorStanding::Voter))
        .collect();
    let leaving = members.voters_outgoing.iter();
    let leaving = leaving.filter(|id| !members.voters.contains(id));
    everyone.extend(leaving.map(|id| (*id, v1::CoordinatorStanding::Leaving)));
    let learners = members.learners.iter().chain(&members.learners_next);
    everyone.extend(learners.map(|id| (*id, v1::CoordinatorStanding::Learner)));
    everyone.sort_unstable_by_key(|(id, _)| *id);
    everyone.dedup_by_key(|(id, _)| *id);
    everyone
}

fn replica_id(id: u64) -> Result<ReplicaId, Status> {
    if id == 0 {
        return Err(Status::invalid_argument("0 is no coordinator's id"));
    }
    Ok(ReplicaId(id))
}

fn host_and_port(address: &str) -> Result<String, Status> {
    let address: CoordinatorAddress =
        address
            .parse()
            .map_err(|error: convoy_common::address::InvalidAddress| {
                Status::invalid_argument(error.to_string())
            })?;
    Ok(format!("{}:{}", address.host(), address.port()))
}

fn over() -> Status {
    convert::status(&Refused::ShuttingDown)
}
