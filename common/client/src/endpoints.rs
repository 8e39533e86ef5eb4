//! Where the coordinators are, and which of them led last.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use convoy_access::ClusterKey;
use convoy_common::address::{CoordinatorAddress, InvalidAddress};
use convoy_common::limits::MAX_COORDINATORS;

/// The coordinators of one cluster as a client knows them: their addresses, the key that it shares with them, and which of
/// them led last. Clones share what is learnt.
#[derive(Clone, Debug)]
pub struct Endpoints {
    list: Arc<[CoordinatorAddress]>,
    key: Option<ClusterKey>,
    learnt: Arc<Mutex<Learnt>>,
}

#[derive(Debug, Default)]
struct Learnt {
    /// Did last what only a leader does.
    leader: Option<CoordinatorAddress>,
    /// Did not answer last time.
    silent: Option<CoordinatorAddress>,
}

/// Why a text or list names no coordinators.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoints {
    /// One of them is no address.
    #[error(transparent)]
    Address(#[from] InvalidAddress),
    /// There are none.
    #[error(
        "no coordinator is named: give one address or several, http://HOST:PORT,http://HOST:PORT"
    )]
    None,
    /// There are too many.
    #[error("{given} coordinators are named, at most {MAX_COORDINATORS} are asked")]
    TooMany {
        /// How many.
        given: usize,
    },
}

impl Endpoints {
    /// These, in the order in which they are asked; one that is named twice counts once.
    ///
    /// # Errors
    /// If there are none, or too many.
    pub fn new(
        addresses: impl IntoIterator<Item = CoordinatorAddress>,
    ) -> Result<Self, InvalidEndpoints> {
        let mut list: Vec<CoordinatorAddress> = Vec::new();
        for address in addresses {
            if !list.contains(&address) {
                list.push(address);
            }
        }
        match list.len() {
            0 => Err(InvalidEndpoints::None),
            given if given > MAX_COORDINATORS => Err(InvalidEndpoints::TooMany { given }),
            _ => Ok(Self {
                list: list.into(),
                key: None,
                learnt: Arc::default(),
            }),
        }
    }

    /// The same, for a cluster that has this key.
    #[must_use]
    pub fn with_key(self, key: Option<ClusterKey>) -> Self {
        Self { key, ..self }
    }

    /// The addresses as they were given.
    #[must_use]
    pub fn addresses(&self) -> &[CoordinatorAddress] {
        &self.list
    }

    /// The coordinator that did last what only a leader does; it may lead no longer, and need not be one of those given.
    #[must_use]
    pub fn leader(&self) -> Option<CoordinatorAddress> {
        self.learnt().leader.clone()
    }

    pub(crate) fn key(&self) -> Option<&ClusterKey> {
        self.key.as_ref()
    }

    /// The addresses in the order in which they are asked now: the one that did not answer comes last, since its host may
    /// have vanished, and whoever connects to it then waits for nothing.
    pub(crate) fn in_turn(&self) -> Vec<CoordinatorAddress> {
        let silent = self.learnt().silent.clone();
        let mut addresses = self.list.to_vec();
        // Stable: the others stay as they were given.
        addresses.sort_by_key(|address| Some(address) == silent.as_ref());
        addresses
    }

    pub(crate) fn remember(&self, leader: &CoordinatorAddress) {
        let mut learnt = self.learnt();
        learnt.silent.take_if(|silent| silent == leader);
        if learnt.leader.as_ref() != Some(leader) {
            tracing::debug!(%leader, "found the leader");
            learnt.leader = Some(leader.clone());
        }
    }

    /// It does not answer as a leader.
    pub(crate) fn forget(&self, address: &CoordinatorAddress) {
        self.learnt().leader.take_if(|leader| leader == address);
    }

    /// It does not answer, or does not any more.
    pub(crate) fn lost(&self, address: &CoordinatorAddress) {
        self.forget(address);
        self.learnt().silent = Some(address.clone());
    }

    fn learnt(&self) -> MutexGuard<'_, Learnt> {
        self.learnt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<CoordinatorAddress> for Endpoints {
    fn from(address: CoordinatorAddress) -> Self {
        Self {
            list: [address].into(),
            key: None,
            learnt: Arc::default(),
        }
    }
}

impl FromStr for Endpoints {
    type Err = InvalidEndpoints;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoints> {
        if text.trim().is_empty() {
            return Err(InvalidEndpoints::None);
        }
        let addresses: Result<Vec<CoordinatorAddress>, _> =
            text.split(',').map(|part| part.trim().parse()).collect();
        Self::new(addresses?)
    }
}

/// As they were given; [`Endpoints::from_str`] reads it.
impl fmt::Display for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, address) in self.list.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{address}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        text.parse::<Endpoints>().unwrap_err().to_string()
    }

    #[test]
    fn one_address_is_a_list_of_one() {
        let one: Endpoints = "http://127.0.0.1:7700".parse().unwrap();
        assert_eq!(one.addresses().len(), 1);
        assert_eq!(one.to_string(), "http://127.0.0.1:7700");
    }

    #[test]
    fn list_is_shown_as_it_is_read_and_doubles_count_once() {
        let text = "http://a:7700, http://b:7700,http://a:7700/";
        let list: Endpoints = text.parse().unwrap();
        assert_eq!(list.to_string(), "http://a:7700,http://b:7700");
        let again: Endpoints = list.to_string().parse().unwrap();
        assert_eq!(again.addresses(), list.addresses());
    }

    #[test]
    fn what_is_wrong_with_a_list_is_said() {
        assert!(refused("").contains("no coordinator is named"));
        assert!(refused("http://a:7700,").contains("\"\" is no coordinator address"));
        assert!(refused("http://a:7700,b:7700").contains("\"b:7700\""));
        let many: Vec<String> = (1..=17).map(|port| format!("http://a:{port}")).collect();
        assert!(refused(&many.join(",")).contains("17 coordinators are named, at most 16"));
    }

    #[test]
    fn clones_share_the_leader_and_only_the_right_one_is_forgotten() {
        let list: Endpoints = "http://a:1,http://b:1".parse().unwrap();
        let [a, b] = [list.addresses()[0].clone(), list.addresses()[1].clone()];
        list.clone().remember(&b);
        assert_eq!(list.leader(), Some(b.clone()));
        list.forget(&a);
        assert_eq!(list.leader(), Some(b.clone()));
        list.clone().forget(&b);
        assert_eq!(list.leader(), None);
    }

    #[test]
    fn one_that_did_not_answer_is_asked_last_until_it_leads_again() {
        let list: Endpoints = "http://a:1,http://b:1,http://c:1".parse().unwrap();
        let [a, b, c] = [0, 1, 2].map(|at| list.addresses()[at].clone());
        list.remember(&a);
        list.clone().lost(&a);
        assert_eq!(list.leader(), None);
        assert_eq!(list.in_turn(), [b.clone(), c.clone(), a.clone()]);
        list.remember(&a);
        assert_eq!(list.in_turn(), [a, b, c]);
    }
}
