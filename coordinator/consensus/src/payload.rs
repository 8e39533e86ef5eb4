//! How commands are laid out in an entry.

use bytes::Bytes;
use convoy_proto::raft::v1;
use prost::Message as _;

use crate::output::ProposalId;

/// What a command takes in an entry besides its data, bytes; more than enough.
const COMMAND_OVERHEAD_BYTES: u64 = 32;

/// One life of one replica: only it may recognise its proposals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Author {
    pub(crate) replica: u64,
    pub(crate) life: u64,
}

impl Author {
    pub(crate) fn proposer(self, proposal: ProposalId) -> v1::Proposer {
        v1::Proposer {
            replica: self.replica,
            life: self.life,
            proposal: proposal.0,
        }
    }

    pub(crate) fn is(self, proposer: &v1::Proposer) -> bool {
        proposer.replica == self.replica && proposer.life == self.life
    }
}

/// What a command counts against the limits.
pub(crate) fn cost(data: &Bytes) -> u64 {
    data.len() as u64 + COMMAND_OVERHEAD_BYTES
}

pub(crate) fn encode(author: Author, commands: Vec<(ProposalId, Bytes)>) -> Bytes {
    let batch = v1::Batch {
        proposer: Some(author.proposer(ProposalId(0))),
        commands: commands
            .into_iter()
            .map(|(proposal, data)| v1::Command {
                proposal: proposal.0,
                data,
            })
            .collect(),
    };
    batch.encode_to_vec().into()
}

/// Commands of an entry, in order, and whether `author` proposed them.
pub(crate) fn decode(author: Author, data: Bytes) -> Result<(bool, Vec<v1::Command>), String> {
    let batch = v1::Batch::decode(data).map_err(|error| error.to_string())?;
    let is_own = batch.proposer.is_some_and(|proposer| author.is(&proposer));
    Ok((is_own, batch.commands))
}
