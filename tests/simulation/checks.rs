//! The promises, looked at after every event.

use std::collections::BTreeMap;

/// A promise that was broken, in one sentence.
#[derive(Clone, Debug)]
pub(crate) struct Violation(pub(crate) String);

pub(crate) type Checked = Result<(), Violation>;

pub(crate) fn violated<T>(what: impl Into<String>) -> Result<T, Violation> {
    Err(Violation(what.into()))
}

/// What all replicas and clients have seen so far.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    /// By term: replica and life.
    leaders: BTreeMap<u64, (u64, u64)>,
    /// By index: the state's digest after it, and who said so first.
    states: Vec<Option<(u64, u64)>>,
    /// By client and sequence: the entry that ran it.
    ran: BTreeMap<(u64, u64), u64>,
    /// By client: the newest command that was acknowledged.
    acknowledged: BTreeMap<u64, u64>,
    /// The newest entry that a client knows of, from an acknowledgement or a read.
    known_index: u64,
}

impl Checks {
    /// At most one leader per term, in one life.
    pub(crate) fn leads(&mut self, replica: u64, life: u64, term: u64) -> Checked {
        match self.leaders.get(&term) {
            None => {
                self.leaders.insert(term, (replica, life));
                Ok(())
            }
            Some(known) if *known == (replica, life) => Ok(()),
            Some((other, other_life)) => violated(format!(
                "replica {replica} (life {life}) leads term {term}, which replica {other} (life {other_life}) led"
            )),
        }
    }

    /// Equal states at equal indexes; with the commands in the digest, equal committed logs too.
    pub(crate) fn has_state(&mut self, replica: u64, index: u64, digest: u64) -> Checked {
        let slot = index as usize;
        if self.states.len() <= slot {
            self.states.resize(slot + 1, None);
        }
        match self.states[slot] {
            None => {
                self.states[slot] = Some((digest, replica));
                Ok(())
            }
            Some((known, _)) if known == digest => Ok(()),
            Some((_, other)) => violated(format!(
                "replica {replica} and replica {other} differ in what they applied up to entry {index}"
            )),
        }
    }

    /// Every command runs at one place only.
    pub(crate) fn runs(&mut self, client: u64, sequence: u64, index: u64) -> Checked {
        match self.ran.insert((client, sequence), index) {
            Some(before) if before != index => violated(format!(
                "command {sequence} of client {client} ran at entry {before} and at entry {index}"
            )),
            Some(_) | None => Ok(()),
        }
    }

    pub(crate) fn acknowledges(&mut self, client: u64, sequence: u64, index: u64) -> Checked {
        let newest = self.acknowledged.entry(client).or_default();
        *newest = (*newest).max(sequence);
        self.known_index = self.known_index.max(index);
        match self.ran.get(&(client, sequence)) {
            Some(ran_at) if *ran_at == index => Ok(()),
            other => violated(format!(
                "command {sequence} of client {client} was acknowledged at entry {index} and ran at {other:?}"
            )),
        }
    }

    /// What a read that begins now has to see.
    pub(crate) fn known_index(&self) -> u64 {
        self.known_index
    }

    pub(crate) fn serves_read(
        &mut self,
        replica: u64,
        known_before: u64,
        confirmed: u64,
        served_at: u64,
    ) -> Checked {
        if confirmed < known_before {
            return violated(format!(
                "replica {replica} answers a read from entry {confirmed}, and entry {known_before} was known before it began"
            ));
        }
        self.known_index = self.known_index.max(served_at);
        Ok(())
    }

    /// Terms that had a leader.
    pub(crate) fn terms(&self) -> u64 {
        self.leaders.len() as u64
    }

    pub(crate) fn acknowledged(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.acknowledged
            .iter()
            .map(|(client, sequence)| (*client, *sequence))
    }
}
