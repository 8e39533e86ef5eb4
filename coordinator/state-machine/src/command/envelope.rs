//! A command on its way: with who wants it, so that it runs once however often it is sent.

use serde::{Deserialize, Serialize};

use super::{Command, Outcome};
use crate::refusal::Refusal;

/// What comes of a command.
pub type Answer = Result<Outcome, Refusal>;

/// A command and who wants it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// None for what the leader decides or is told by agents and workers: those commands are idempotent by themselves.
    pub origin: Option<Origin>,
    /// What is wanted.
    pub command: Command,
}

/// One command of one client. The same one again is answered as the first time and runs no second time; so is one that was
/// refused. A client counts up, and waits for an answer before it sends the next: only the newest answer is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Names the client; never used by another.
    pub client_id: String,
    /// Counts its commands.
    pub sequence: u64,
}

impl From<Command> for Envelope {
    fn from(command: Command) -> Self {
        Self {
            origin: None,
            command,
        }
    }
}

impl Command {
    /// The command as this client's.
    #[must_use]
    pub fn from_client(self, client_id: impl Into<String>, sequence: u64) -> Envelope {
        let client_id = client_id.into();
        Envelope {
            origin: Some(Origin {
                client_id,
                sequence,
            }),
            command: self,
        }
    }
}
