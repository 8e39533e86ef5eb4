//! The replicated state: the coordinator's own, and beside it what is known of each client, to check the coordinator's.

use std::collections::BTreeMap;

use convoy_state_machine::codec;
use convoy_state_machine::{Cluster, Command, Envelope};
use serde::{Deserialize, Serialize};

use crate::checks::{Violation, violated};

/// The newest command of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) sequence: u64,
    /// The entry that ran it.
    pub(crate) index: u64,
    /// Digest of its answer.
    answer: u64,
}

/// What must be true of the coordinator's state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Expected {
    sessions: BTreeMap<u64, Session>,
    /// Over all commands and what came of them, in order.
    digest: u64,
    /// The last entry it contains.
    applied: u64,
}

/// The state of one replica.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct State {
    cluster: Cluster,
    expected: Expected,
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

/// A command as a client sends it.
pub(crate) fn request(client: u64, sequence: u64, command: Command) -> Vec<u8> {
    let envelope = command.from_client(client.to_string(), sequence);
    codec::encode_command(&envelope).expect("commands of clients are small")
}

impl State {
    pub(crate) fn applied(&self) -> u64 {
        self.expected.applied
    }

    pub(crate) fn digest(&self) -> u64 {
        self.expected.digest
    }

    pub(crate) fn session(&self, client: u64) -> Option<&Session> {
        self.expected.sessions.get(&client)
    }

    /// Applies a command. One that ran before is answered as it was then, and changes nothing.
    pub(crate) fn apply(&mut self, index: u64, data: &[u8]) -> Result<Effect, Violation> {
        let envelope = codec::decode_command(data).expect("commands are what clients sent");
        let (client, sequence) = origin(&envelope);
        let submits = matches!(envelope.command, Command::SubmitJob { .. });
        let jobs_before = self.cluster.job_count();
        let answer = self.cluster.apply(envelope);
        let text = format!("{answer:?}");
        let jobs = self.cluster.job_count();
        let expected = &mut self.expected;
        expected.applied = index;
        for bytes in [&index.to_le_bytes(), data, text.as_bytes()] {
            expected.digest = absorbed(expected.digest, bytes);
        }
        let effect = |ran_at, is_new| Effect {
            client,
            sequence,
            ran_at,
            is_new,
        };
        let known = expected.sessions.get(&client).cloned();
        let answer = absorbed(0, text.as_bytes());
        match known.filter(|known| known.sequence >= sequence) {
            Some(known) if jobs != jobs_before => violated(format!(
                "command {sequence} of client {client} made a job at entry {index}, after command {} at entry {}",
                known.sequence, known.index
            )),
            Some(known) if known.sequence > sequence => Ok(effect(None, false)),
            Some(known) if known.answer != answer => violated(format!(
                "command {sequence} of client {client} is answered {text} at entry {index}, other than at entry {}",
                known.index
            )),
            Some(known) => Ok(effect(Some(known.index), false)),
            None if submits && jobs != jobs_before + 1 => violated(format!(
                "command {sequence} of client {client} made no job at entry {index}: {text}"
            )),
            None => {
                let session = Session {
                    sequence,
                    index,
                    answer,
                };
                expected.sessions.insert(client, session);
                Ok(effect(Some(index), true))
            }
        }
    }

    /// Entries without commands count as well.
    pub(crate) fn passed(&mut self, index: u64) {
        let expected = &mut self.expected;
        expected.applied = expected.applied.max(index);
    }

    /// The coordinator's state follows on what is expected of it and its length.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let expected = serde_json::to_vec(&self.expected).expect("it can be written");
        let mut bytes = (expected.len() as u64).to_le_bytes().to_vec();
        bytes.extend(expected);
        codec::write_snapshot(&self.cluster, &mut bytes).expect("states can be written");
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let (length, rest) = bytes
            .split_first_chunk()
            .expect("snapshots are what replicas wrote");
        let (expected, cluster) = rest.split_at(u64::from_le_bytes(*length) as usize);
        Self {
            cluster: codec::read_snapshot(cluster).expect("snapshots are what replicas wrote"),
            expected: serde_json::from_slice(expected).expect("snapshots are what replicas wrote"),
        }
    }
}

fn origin(envelope: &Envelope) -> (u64, u64) {
    let origin = envelope.origin.as_ref().expect("all commands are clients'");
    let client = origin.client_id.parse().expect("clients are numbers");
    (client, origin.sequence)
}

/// FNV-1a.
fn absorbed(digest: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(digest, |digest, byte| {
        (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
