//! The committed cluster version, and the coordinators that must support it.

use convoy_common::ids::ReplicaId;

use super::Cluster;
use crate::command::{Answer, Command, Outcome};
use crate::limits::MAX_REPLICAS;
use crate::refusal::Refusal;
use crate::replica::Replica;
use crate::text::Text;
use crate::version::{BuildTooOld, ClusterVersion};

impl Cluster {
    /// Whether this build can go on after this command: it can't when the command commits a cluster version that the build
    /// doesn't know. To apply it, or to skip it, would make this replica differ from the others.
    ///
    /// # Errors
    /// If it can't; the process must stop then.
    pub fn check_build(&self, command: &Command) -> Result<(), BuildTooOld> {
        if let Command::SetClusterVersion { version } = command
            && self.may_commit(*version).is_ok()
        {
            return version.check_known();
        }
        Ok(())
    }

    /// Commands that are newer than the committed cluster version are refused by every build alike.
    pub(super) fn check_version(&self, command: &Command) -> Result<(), Refusal> {
        let (needed, committed) = (command.since(), self.version);
        if needed > committed {
            return Err(Refusal::ClusterVersionNeeded { needed, committed });
        }
        Ok(())
    }

    pub(super) fn set_version(&mut self, version: ClusterVersion) -> Answer {
        self.may_commit(version)?;
        if let Err(BuildTooOld { committed, known }) = version.check_known() {
            let given = committed;
            return Err(Refusal::ClusterVersionUnknown { given, known });
        }
        if version == self.version {
            return Ok(Outcome::Unchanged);
        }
        self.version = version;
        Ok(Outcome::Done)
    }

    /// What does not depend on the build: the version does not fall, and every coordinator supports it.
    fn may_commit(&self, version: ClusterVersion) -> Result<(), Refusal> {
        let (given, committed) = (version, self.version);
        if given < committed {
            return Err(Refusal::ClusterVersionLower { given, committed });
        }
        let mut replicas = self.replicas();
        match replicas.find(|(_, replica)| replica.supports < version) {
            None => Ok(()),
            Some((id, replica)) => Err(too_old(id, replica, version)),
        }
    }

    pub(super) fn set_member(&mut self, id: ReplicaId, member: Replica) -> Answer {
        Text::Address.check(&member.raft_address)?;
        Text::Address.check(&member.api_address)?;
        Text::Build.check(&member.build)?;
        if member.supports < self.version {
            return Err(too_old(id, &member, self.version));
        }
        let known = self.replicas.get(&id);
        if known == Some(&member) {
            return Ok(Outcome::Unchanged);
        }
        let replicas = self.replicas.len();
        if known.is_none() && replicas >= MAX_REPLICAS {
            return Err(Refusal::TooManyReplicas {
                replica: id,
                replicas,
            });
        }
        self.replicas.insert(id, member);
        Ok(Outcome::Done)
    }

    pub(super) fn remove_member(&mut self, id: ReplicaId) -> Outcome {
        if self.replicas.remove(&id) {
            Outcome::Done
        } else {
            Outcome::Unchanged
        }
    }
}

fn too_old(id: ReplicaId, replica: &Replica, needed: ClusterVersion) -> Refusal {
    Refusal::ReplicaTooOld {
        replica: id,
        build: replica.build.clone(),
        supports: replica.supports,
        needed,
    }
}
