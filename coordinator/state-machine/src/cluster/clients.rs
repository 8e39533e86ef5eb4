//! The last command of each client and its answer, so that a repeated one runs once.

use serde::{Deserialize, Serialize};

use crate::command::{Answer, Origin};
use crate::limits::MAX_CLIENTS;
use crate::refusal::Refusal;
use crate::shared_map::SharedMap;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Clients(SharedMap<String, ClientRecord>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ClientRecord {
    /// Of its newest command.
    sequence: u64,
    answer: Answer,
    /// Value of `Cluster::applied` when that command came, or came again.
    last_heard: u64,
}

impl Clients {
    /// What is answered without running the command: as the first time, or that it is too old. None for a new command.
    pub(super) fn recall(&mut self, origin: &Origin, now: u64) -> Option<Answer> {
        let newest = self.0.get(&origin.client_id)?.sequence;
        if origin.sequence > newest {
            return None;
        }
        if origin.sequence < newest {
            return Some(Err(Refusal::StaleSequence {
                client_id: origin.client_id.clone(),
                given: origin.sequence,
                newest,
            }));
        }
        let known = self.0.get_mut(&origin.client_id)?;
        known.last_heard = now;
        Some(known.answer.clone())
    }

    /// Keeps the answer to a client's newest command; of too many clients, the quietest is forgotten.
    pub(super) fn remember(&mut self, origin: Origin, answer: Answer, now: u64) {
        let record = ClientRecord {
            sequence: origin.sequence,
            answer,
            last_heard: now,
        };
        self.0.insert(origin.client_id, record);
        if self.0.len() > MAX_CLIENTS {
            let by_silence = self.0.iter().min_by_key(|(_, client)| client.last_heard);
            if let Some(quietest) = by_silence.map(|(id, _)| id.clone()) {
                self.0.remove(&quietest);
            }
        }
    }
}

#[cfg(test)]
impl Clients {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_same_memory(&self, other: &Self) -> bool {
        self.0.is_same_memory(&other.0)
    }
}
