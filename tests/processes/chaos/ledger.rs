//! What clients did and saw, and whether it can be.

use std::collections::BTreeMap;

use harness::linearizability::{Action, Operation, Value, check};

/// The notes that are written and read; each is a register.
pub(crate) const KEYS: [&str; 3] = ["a", "b", "c"];

/// What each register holds; those that hold nothing are left out.
pub(crate) type Values = BTreeMap<&'static str, u64>;

/// What happened to each register.
#[derive(Debug, Default)]
pub(crate) struct History {
    of: BTreeMap<&'static str, Vec<Operation>>,
}

/// Names an operation of a history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    key: &'static str,
    index: usize,
}

impl History {
    pub(crate) fn push(&mut self, key: &'static str, operation: Operation) -> Place {
        let operations = self.of.entry(key).or_default();
        operations.push(operation);
        Place {
            key,
            index: operations.len() - 1,
        }
    }

    /// The operation has no effect after `moment`.
    pub(crate) fn seal(&mut self, place: Place, moment: u64) {
        if let Some(operations) = self.of.get_mut(place.key) {
            operations[place.index].ended = moment;
        }
    }

    pub(crate) fn append(&mut self, other: Self) {
        for (key, operations) in other.of {
            self.of.entry(key).or_default().extend(operations);
        }
    }

    /// # Errors
    /// If it can't be, with the register and what happened to it.
    pub(crate) fn check(&self, initial: &Values) -> Result<(), String> {
        for (key, operations) in &self.of {
            let checked = check(initial.get(key).copied(), operations);
            checked.map_err(|violation| format!("note {key:?}: {violation}"))?;
        }
        Ok(())
    }

    /// The same without a write that was acknowledged and seen, if there is one.
    pub(crate) fn with_a_lost_write(&self) -> Option<Self> {
        for (key, operations) in &self.of {
            let is_seen = |value: Value| {
                let mut reads = operations.iter().filter(|operation| operation.is_answered);
                reads.any(|operation| operation.action == Action::Read(value))
            };
            let lost = operations.iter().position(|operation| {
                let Action::Write(value @ Some(_)) = operation.action else {
                    return false;
                };
                operation.is_answered && is_seen(value)
            });
            if let Some(lost) = lost {
                let mut of = self.of.clone();
                of.entry(key).or_default().remove(lost);
                return Some(Self { of });
            }
        }
        None
    }
}

/// Jobs that were submitted, each under a name of its own.
#[derive(Debug, Default)]
pub(crate) struct Submissions {
    /// With the id in the answer, or without an answer.
    pub(crate) by_name: BTreeMap<String, Option<String>>,
}

impl Submissions {
    /// That those that were answered are there once, others at most once, and nothing else is. `found` are the names and
    /// ids of all jobs.
    ///
    /// # Panics
    /// If not.
    pub(crate) fn check(&self, found: &[(String, String)]) {
        let mut ids: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, id) in found {
            ids.entry(name).or_default().push(id);
        }
        for (name, answer) in &self.by_name {
            let ids = ids.remove(name.as_str()).unwrap_or_default();
            assert!(
                ids.len() <= 1,
                "{name} was submitted once and is there as {ids:?}"
            );
            if let Some(id) = answer {
                assert_eq!(
                    ids,
                    [id],
                    "{name} was acknowledged as {id}, and this is there"
                );
            }
        }
        assert!(ids.is_empty(), "nobody submitted {ids:?}");
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        self.by_name.append(&mut other.by_name);
    }
}
