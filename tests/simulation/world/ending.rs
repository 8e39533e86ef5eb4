//! The calm after the faults: a command of every client is committed, and all members become equal.

use convoy_consensus::{Members, ReplicaId, Role};

use super::World;
use crate::checks::{Checked, Violation, violated};

impl World {
    /// Who has to be there in the end: the members as the leader knows them, without the lost.
    fn expected(&self) -> Option<(u64, Members, Vec<u64>)> {
        let leader = self.leader()?;
        let members = self.members_of(leader)?;
        let all = members.voters.iter().chain(&members.learners);
        let there = all
            .map(|id: &ReplicaId| id.0)
            .filter(|id| self.nodes.get(id).is_some_and(|node| !node.is_lost));
        let there = there.collect();
        Some((leader, members, there))
    }

    pub(super) fn is_well(&self) -> Result<bool, Violation> {
        if !self
            .clients
            .values()
            .all(super::clients::Client::is_content)
        {
            return Ok(false);
        }
        let Some((leader, members, there)) = self.expected() else {
            return Ok(false);
        };
        if members.is_joint() {
            return Ok(false);
        }
        let Some(leading) = self
            .nodes
            .get(&leader)
            .and_then(|node| node.running.as_ref())
        else {
            return Ok(false);
        };
        let status = leading.replica.status();
        let is_settled = matches!(
            status.role,
            Role::Leader {
                is_settled: true,
                ..
            }
        );
        if !is_settled || status.commit != status.last_index || status.applied != status.commit {
            return Ok(false);
        }
        let is_level = |id: &u64| {
            let running = self.nodes.get(id).and_then(|node| node.running.as_ref());
            running.is_some_and(|running| running.state.applied() == status.applied)
        };
        Ok(there.iter().all(is_level))
    }

    pub(super) fn what_is_missing(&self) -> String {
        let discontent = self
            .clients
            .values()
            .filter(|client| !client.is_content())
            .count();
        let replicas: Vec<String> = self
            .nodes
            .values()
            .map(|node| {
                let id = node.id;
                match &node.running {
                    Some(running) => {
                        let status = running.replica.status();
                        format!(
                            "{id}: {:?}, log {}..={}, committed {}, applied {}",
                            status.role,
                            status.first_index,
                            status.last_index,
                            status.commit,
                            running.state.applied()
                        )
                    }
                    None => format!(
                        "{id}: not running{}",
                        if node.is_lost { ", lost" } else { "" }
                    ),
                }
            })
            .collect();
        format!("{discontent} clients wait, {}", replicas.join("; "))
    }

    /// All members are level: they are equal, and nothing acknowledged is missing.
    pub(super) fn check_end(&self) -> Checked {
        let Some((leader, _, there)) = self.expected() else {
            return violated("there is no leader in the end");
        };
        let Some(leading) = self
            .nodes
            .get(&leader)
            .and_then(|node| node.running.as_ref())
        else {
            return violated("the leader does not run in the end");
        };
        for id in there {
            let running = self.nodes.get(&id).and_then(|node| node.running.as_ref());
            if running.is_some_and(|running| running.state != leading.state) {
                return violated(format!(
                    "replica {id} and replica {leader} have applied the same entries and have different states"
                ));
            }
        }
        for (client, sequence) in self.checks.acknowledged() {
            let newest = leading
                .state
                .session(client)
                .map_or(0, |session| session.sequence);
            if newest < sequence {
                return violated(format!(
                    "command {sequence} of client {client} was acknowledged, and the newest in the end is {newest}"
                ));
            }
        }
        Ok(())
    }
}
