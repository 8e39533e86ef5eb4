//! Who leads, and where everybody is reached.

use std::collections::BTreeMap;
use std::sync::Arc;

use convoy_common::address::CoordinatorAddress;
use convoy_consensus::{ReplicaId, Role};
use tokio::sync::watch;

/// Where each coordinator is reached, as far as is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Addresses(Arc<BTreeMap<ReplicaId, CoordinatorAddress>>);

impl Addresses {
    pub(crate) fn of(&self, id: ReplicaId) -> Option<&CoordinatorAddress> {
        self.0.get(&id)
    }
}

impl FromIterator<(ReplicaId, CoordinatorAddress)> for Addresses {
    fn from_iter<I: IntoIterator<Item = (ReplicaId, CoordinatorAddress)>>(addresses: I) -> Self {
        Self(Arc::new(addresses.into_iter().collect()))
    }
}

/// Who leads and where everybody is reached, always as of now. Clones see the same.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    own: ReplicaId,
    roles: watch::Receiver<Role>,
    addresses: watch::Receiver<Addresses>,
}

#[cfg(test)]
impl Directory {
    /// Of a coordinator that nobody knows.
    pub(crate) fn of_one(own: ReplicaId) -> Self {
        let follows = Role::Follower {
            term: 0,
            leader: None,
        };
        Self {
            own,
            roles: watch::channel(follows).1,
            addresses: watch::channel(Addresses::default()).1,
        }
    }
}

impl Directory {
    pub(super) fn new(
        own: ReplicaId,
        roles: watch::Receiver<Role>,
        addresses: watch::Receiver<Addresses>,
    ) -> Self {
        Self {
            own,
            roles,
            addresses,
        }
    }

    pub(crate) fn own_id(&self) -> ReplicaId {
        self.own
    }

    pub(crate) fn leader(&self) -> Option<ReplicaId> {
        self.roles.borrow().leader(self.own)
    }

    pub(crate) fn leads(&self) -> bool {
        matches!(*self.roles.borrow(), Role::Leader { .. })
    }

    /// Where the leader is reached; none while there is none, or where it is this coordinator itself, which then is about to
    /// lead or no longer does.
    pub(crate) fn other_leader(&self) -> Option<CoordinatorAddress> {
        let leader = self.leader().filter(|leader| *leader != self.own)?;
        self.address_of(leader)
    }

    pub(crate) fn address_of(&self, id: ReplicaId) -> Option<CoordinatorAddress> {
        self.addresses.borrow().of(id).cloned()
    }

    /// Waits until another coordinator leads. For ever, if none does.
    pub(crate) async fn another_leads(&mut self) -> Option<ReplicaId> {
        let own = self.own;
        let other = |role: &Role| role.leader(own).is_some_and(|leader| leader != own);
        let role = *self.roles.wait_for(other).await.ok()?;
        role.leader(own)
    }
}
