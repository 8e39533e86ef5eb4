//! Messages and entries between their forms: ours on the wire, raft-rs's, the journal's.

mod incoming;
mod outgoing;

use bytes::Bytes;
use convoy_journal::{EntryKind, HardState};
use convoy_proto::raft::v1;
use raft::eraftpb;

pub(crate) use incoming::{Incoming, incoming};
pub(crate) use outgoing::outgoing;

/// An entry for the journal.
pub(crate) fn to_journal(entry: &eraftpb::Entry) -> convoy_journal::Entry {
    convoy_journal::Entry {
        index: entry.index,
        term: entry.term,
        kind: match entry.get_entry_type() {
            eraftpb::EntryType::EntryNormal => EntryKind::Command,
            // Never proposed here: changes of members have the second version's form.
            eraftpb::EntryType::EntryConfChange | eraftpb::EntryType::EntryConfChangeV2 => {
                EntryKind::Membership
            }
        },
        data: entry.data.to_vec(),
    }
}

/// An entry for raft-rs.
pub(crate) fn from_journal(entry: convoy_journal::Entry) -> eraftpb::Entry {
    let kind = match entry.kind {
        EntryKind::Command => eraftpb::EntryType::EntryNormal,
        EntryKind::Membership => eraftpb::EntryType::EntryConfChangeV2,
    };
    raft_entry(entry.index, entry.term, kind, entry.data.into())
}

fn raft_entry(index: u64, term: u64, kind: eraftpb::EntryType, data: Bytes) -> eraftpb::Entry {
    let mut entry = eraftpb::Entry {
        index,
        term,
        data,
        ..eraftpb::Entry::default()
    };
    entry.set_entry_type(kind);
    entry
}

pub(crate) fn hard_state_to_journal(state: &eraftpb::HardState) -> HardState {
    HardState {
        term: state.term,
        vote: state.vote,
        commit: state.commit,
    }
}

pub(crate) fn hard_state_from_journal(state: HardState) -> eraftpb::HardState {
    eraftpb::HardState {
        term: state.term,
        vote: state.vote,
        commit: state.commit,
        ..eraftpb::HardState::default()
    }
}

/// The head of a message: whom it is from and for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope {
    pub(crate) cluster: u64,
    pub(crate) from: u64,
    pub(crate) birth: u64,
}

impl Envelope {
    pub(crate) fn seal(self, to: u64, term: u64, body: v1::raft_message::Body) -> v1::RaftMessage {
        v1::RaftMessage {
            cluster: self.cluster,
            from: self.from,
            to,
            birth: self.birth,
            term,
            body: Some(body),
        }
    }
}
