//! Clients: one command at a time each, repeated until it is acknowledged; and reads.

use bytes::Bytes;
use convoy_common::ids::NodeId;
use convoy_consensus::{ProposalId, ReadId, Rejected};
use convoy_state_machine::Command;

use super::{Event, World};
use crate::checks::Checked;
use crate::node::Asked;
use crate::state::Request;

/// A client asks another replica when it has waited so long.
const PATIENCE_US: u64 = 400_000;
/// And so long after a rejection.
const BACKOFF_US: u64 = 60_000;
/// Commands that a client begins when faults are over, before it rests.
const CALM_COMMANDS: u64 = 2;
const SPEC: &str = r#"{
    "name": "digits", "model": { "name": "small_cnn", "classes": 10 },
    "data": { "format": "idx", "train_images": "/d/a", "train_labels": "/d/b", "test_images": "/d/c",
              "test_labels": "/d/d", "mean": [0.5], "std": [0.25] },
    "training": { "epochs": 3, "global_batch": 64, "data_shards": 4 },
    "optimizer": { "name": "sgd", "learning_rate": 0.1 },
    "elastic": { "min_workers": 1, "max_workers": 4 },
    "checkpoints": { "folder": "/c" }
}"#;

/// Somebody who writes.
pub(crate) struct Client {
    id: u64,
    sequence: u64,
    /// What it wants done, until it was.
    wanted: Option<Bytes>,
    /// Whom it asks next.
    asks: u64,
    attempt: u64,
    /// Commands that it began and finished in the calm.
    pub(super) finished_in_calm: u64,
    began_in_calm: bool,
}

/// What a replica tells a client.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Done,
    /// Ask this one.
    Elsewhere(u64),
    /// Ask somebody.
    Retry,
}

impl Answer {
    pub(super) fn from_rejection(why: &Rejected) -> Self {
        match why {
            Rejected::NotLeader {
                leader: Some(leader),
            } => Self::Elsewhere(leader.0),
            Rejected::NotLeader { leader: None }
            | Rejected::Unknown
            | Rejected::TooLarge { .. }
            | Rejected::Busy { .. }
            | Rejected::DiskFull { .. }
            | Rejected::Transferring { .. }
            | Rejected::TimedOut { .. }
            | Rejected::NotSettled
            | Rejected::ChangeUnderWay
            | Rejected::NoSuchChange { .. }
            | Rejected::NotCaughtUp { .. }
            | Rejected::RemovesLeader { .. }
            | Rejected::Stopped => Self::Retry,
        }
    }
}

impl Client {
    pub(crate) fn new(id: u64) -> Self {
        Self {
            id,
            sequence: 0,
            wanted: None,
            asks: 1,
            attempt: 0,
            finished_in_calm: 0,
            began_in_calm: false,
        }
    }

    pub(super) fn is_content(&self) -> bool {
        self.finished_in_calm >= CALM_COMMANDS
    }
}

impl World {
    /// A client begins a command, or repeats the one it has.
    pub(super) fn ask(&mut self, id: u64) -> Checked {
        let is_calm = self.is_calm();
        let kind = self.random.below(12);
        let Some(client) = self.clients.get_mut(&id) else {
            return Ok(());
        };
        if client.wanted.is_none() {
            if client.is_content() {
                return Ok(());
            }
            client.sequence += 1;
            client.began_in_calm = is_calm;
            client.wanted = Some(command(client, kind).into());
        }
        client.attempt += 1;
        let (attempt, sequence, node) = (client.attempt, client.sequence, client.asks);
        let data = client.wanted.clone().unwrap_or_default();
        let delay_us = self.network.delay(&mut self.random);
        self.after(
            delay_us,
            Event::Request {
                client: id,
                sequence,
                node,
                data,
            },
        );
        self.after(
            PATIENCE_US,
            Event::LosePatience {
                client: id,
                attempt,
            },
        );
        if self.random.chance(400) {
            let node = self.somebody();
            let delay_us = self.network.delay(&mut self.random);
            self.after(delay_us, Event::Read { node });
        }
        Ok(())
    }

    /// The request reaches a replica; it may be an old one, of a command that is done.
    pub(super) fn request(
        &mut self,
        client: u64,
        sequence: u64,
        node: u64,
        data: Bytes,
    ) -> Checked {
        let Some(running) = self
            .nodes
            .get_mut(&node)
            .and_then(|node| node.running.as_mut())
        else {
            return Ok(());
        };
        let proposal = ProposalId(running.next_id());
        running.asked.insert(proposal, Asked { client, sequence });
        running.replica.propose(proposal, data);
        self.due(node);
        self.look_at(node)
    }

    pub(super) fn reply(&mut self, from: u64, asked: Asked, answer: Answer) {
        let Asked { client, sequence } = asked;
        self.tell(|| format!("{from} answers client {client}: {answer:?} to {sequence}"));
        if !self.is_calm() && self.random.chance(self.plan.network.loss_permille) {
            return;
        }
        let delay_us = self.network.delay(&mut self.random);
        self.after(
            delay_us,
            Event::Answer {
                client,
                sequence,
                answer,
            },
        );
    }

    pub(super) fn answer(&mut self, id: u64, sequence: u64, answer: Answer) -> Checked {
        let think_us = self.random.below(self.plan.think_us + 1);
        let backoff_us = 1 + self.random.below(BACKOFF_US);
        let somebody = self.somebody();
        let is_calm = self.is_calm();
        let Some(client) = self.clients.get_mut(&id) else {
            return Ok(());
        };
        if client.sequence != sequence || client.wanted.is_none() {
            return Ok(());
        }
        let wait_us = match answer {
            Answer::Done => {
                client.wanted = None;
                if is_calm && client.began_in_calm {
                    client.finished_in_calm += 1;
                }
                think_us
            }
            Answer::Elsewhere(leader) => {
                client.asks = leader;
                backoff_us / 10
            }
            Answer::Retry => {
                client.asks = somebody;
                backoff_us
            }
        };
        // It waits for no other answer.
        client.attempt += 1;
        self.after(wait_us, Event::Ask { client: id });
        Ok(())
    }

    pub(super) fn lose_patience(&mut self, id: u64, attempt: u64) -> Checked {
        let somebody = self.somebody();
        match self.clients.get_mut(&id) {
            Some(client) if client.attempt == attempt && client.wanted.is_some() => {
                client.asks = somebody;
                self.ask(id)
            }
            Some(_) | None => Ok(()),
        }
    }

    fn somebody(&mut self) -> u64 {
        let ids = self.node_ids();
        self.random.pick(&ids)
    }

    pub(super) fn begin_read(&mut self, node: u64) -> Checked {
        let known = self.checks.known_index();
        let Some(running) = self
            .nodes
            .get_mut(&node)
            .and_then(|node| node.running.as_mut())
        else {
            return Ok(());
        };
        let read = ReadId(running.next_id());
        running.reads.insert(read, known);
        running.replica.read(read);
        self.due(node);
        Ok(())
    }

    /// Confirmed reads are served once the state is there.
    pub(super) fn confirm_reads(
        &mut self,
        id: u64,
        answers: Vec<(ReadId, Result<u64, Rejected>)>,
    ) -> Checked {
        let Some(running) = self
            .nodes
            .get_mut(&id)
            .and_then(|node| node.running.as_mut())
        else {
            return Ok(());
        };
        let mut given_up = 0;
        for (read, answer) in answers {
            let Some(known) = running.reads.remove(&read) else {
                return crate::checks::violated(format!("replica {id} answers {read:?} twice"));
            };
            match answer {
                Ok(index) => running.confirmed.push((known, index)),
                Err(_) => given_up += 1,
            }
        }
        let applied = running.state.applied();
        let (served, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut running.confirmed)
            .into_iter()
            .partition(|(_, index)| *index <= applied);
        running.confirmed = waiting;
        *self.seen.entry("reads given up").or_default() += given_up;
        for (known, index) in served {
            self.see("reads served");
            self.checks.serves_read(id, known, index, applied)?;
        }
        Ok(())
    }
}

fn command(client: &Client, kind: u64) -> Vec<u8> {
    let node = NodeId::try_from(format!("node-{}", client.id)).expect("this is an id");
    let incarnation = client.sequence / 8;
    let command = match kind {
        0 => Command::SubmitJob {
            client_id: format!("client-{}", client.id),
            sequence: client.sequence,
            spec: Box::new(serde_json::from_str(SPEC).expect("this is a job")),
            workers: 2,
        },
        1..=3 => Command::NodeLost {
            node,
            incarnation,
            reason: "silent".to_owned(),
        },
        _ => Command::RegisterNode {
            node,
            incarnation,
            slots: 2,
            advertised_host: "10.0.0.1".to_owned(),
        },
    };
    let request = Request {
        client: client.id,
        sequence: client.sequence,
        command,
    };
    serde_json::to_vec(&request).expect("requests can be written")
}
