//! The replicated state: the coordinator's own, and what each client was told last.

use std::collections::BTreeMap;

use convoy_state_machine::{Cluster, Command};
use serde::{Deserialize, Serialize};

/// What a client sends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) client: u64,
    /// Grows by one with each command; a repeated one runs once.
    pub(crate) sequence: u64,
    pub(crate) command: Command,
}

/// The newest command of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) sequence: u64,
    /// The entry that ran it.
    pub(crate) index: u64,
}

/// The state of one replica.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    cluster: Cluster,
    sessions: BTreeMap<u64, Session>,
    /// Over all commands and what came of them, in order.
    digest: u64,
    /// The last entry it contains.
    applied: u64,
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Effect {
    pub(crate) client: u64,
    pub(crate) sequence: u64,
    /// The entry that ran it, now or before; none if the client has gone on since.
    pub(crate) ran_at: Option<u64>,
    /// Whether that was now.
    pub(crate) is_new: bool,
}

impl State {
    pub(crate) fn applied(&self) -> u64 {
        self.applied
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    pub(crate) fn session(&self, client: u64) -> Option<&Session> {
        self.sessions.get(&client)
    }

    pub(crate) fn apply(&mut self, index: u64, data: &[u8]) -> Effect {
        let request: Request =
            serde_json::from_slice(data).expect("commands are what clients sent");
        let (client, sequence) = (request.client, request.sequence);
        self.applied = index;
        self.absorb(&index.to_le_bytes());
        self.absorb(data);
        let effect = |ran_at, is_new| Effect {
            client,
            sequence,
            ran_at,
            is_new,
        };
        if let Some(session) = self.sessions.get(&client)
            && session.sequence >= sequence
        {
            return effect(
                (session.sequence == sequence).then_some(session.index),
                false,
            );
        }
        let outcome = self.cluster.apply(request.command);
        self.absorb(format!("{outcome:?}").as_bytes());
        self.sessions.insert(client, Session { sequence, index });
        effect(Some(index), true)
    }

    /// Entries without commands count as well.
    pub(crate) fn passed(&mut self, index: u64) {
        self.applied = self.applied.max(index);
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("states can be written")
    }

    pub(crate) fn decode(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).expect("snapshots are what replicas wrote")
    }

    /// FNV-1a.
    fn absorb(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.digest = (self.digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
