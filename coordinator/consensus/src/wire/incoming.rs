//! Peers' messages in raft-rs's form. Whatever would make raft-rs panic is refused here.

use std::collections::BTreeSet;

use bytes::Bytes;
use convoy_journal::SnapshotMeta;
use convoy_proto::raft::v1;
use convoy_proto::raft::v1::raft_message::Body;
use raft::eraftpb::{Entry, EntryType, Message, MessageType};

use super::outgoing::TRANSFER;
use super::raft_entry;
use crate::storage::snapshot;

/// No log gets so long: sums of indexes never overflow.
const MOST: u64 = u64::MAX >> 2;

/// What a message is, once it was checked.
pub(crate) enum Incoming {
    /// For raft-rs. Births that came with it.
    Raft(Box<Message>, Vec<v1::Birth>),
    /// The sender knows another folder of this replica.
    Refusal(v1::Refusal),
}

/// # Errors
/// What is wrong with it.
pub(crate) fn incoming(message: v1::RaftMessage) -> Result<Incoming, String> {
    let body = message
        .body
        .ok_or("it has no body, or one of a newer release")?;
    let (from, to, term) = (message.from, message.to, message.term);
    let new = |kind: MessageType, term: u64| {
        let mut new = Message {
            from,
            to,
            term,
            ..Message::default()
        };
        new.set_msg_type(kind);
        new
    };
    // raft-rs takes a message of term 0 for one of its own. Reads have none: they are not tied to a term.
    if term == 0 && !matches!(body, Body::ReadIndex(_) | Body::Refusal(_)) {
        return Err("its term is 0".to_owned());
    }
    if term > MOST {
        return Err(format!("its term is {term}"));
    }
    let mut births = Vec::new();
    let converted = match body {
        Body::Append(append) => fill_append(new(MessageType::MsgAppend, term), append)?,
        Body::AppendResponse(response) => {
            fill_append_response(new(MessageType::MsgAppendResponse, term), &response)?
        }
        Body::VoteRequest(request) => {
            let kind = if request.is_rehearsal {
                MessageType::MsgRequestPreVote
            } else {
                MessageType::MsgRequestVote
            };
            fill_vote_request(new(kind, term), &request)?
        }
        Body::VoteResponse(response) => {
            let kind = if response.is_rehearsal {
                MessageType::MsgRequestPreVoteResponse
            } else {
                MessageType::MsgRequestVoteResponse
            };
            let mut message = new(kind, term);
            message.reject = !response.is_granted;
            message.commit = index(response.commit)?;
            message.commit_term = index(response.commit_term)?;
            message
        }
        Body::Heartbeat(heartbeat) => {
            births = heartbeat.births;
            let mut message = new(MessageType::MsgHeartbeat, term);
            message.commit = index(heartbeat.commit)?;
            message.context = heartbeat.read;
            message
        }
        Body::HeartbeatResponse(response) => {
            let mut message = new(MessageType::MsgHeartbeatResponse, term);
            message.commit = index(response.commit)?;
            message.context = response.read;
            message
        }
        Body::InstallSnapshot(install) => {
            let mut message = new(MessageType::MsgSnapshot, term);
            message.set_snapshot(snapshot(&checked_meta(install)?));
            message
        }
        Body::TimeoutNow(v1::TimeoutNow {}) => new(MessageType::MsgTimeoutNow, term),
        Body::ReadIndex(read) => with_read(new(MessageType::MsgReadIndex, 0), read.read)?,
        Body::ReadIndexResponse(response) => {
            let mut message = new(MessageType::MsgReadIndexResp, term);
            message.index = index(response.index)?;
            with_read(message, response.read)?
        }
        Body::Refusal(refusal) => return Ok(Incoming::Refusal(refusal)),
    };
    Ok(Incoming::Raft(Box::new(converted), births))
}

fn index(given: u64) -> Result<u64, String> {
    if given > MOST {
        return Err(format!("it has the index or term {given}"));
    }
    Ok(given)
}

fn fill_append(mut message: Message, append: v1::Append) -> Result<Message, String> {
    message.index = index(append.previous_index)?;
    message.log_term = index(append.previous_term)?;
    message.commit = index(append.commit)?;
    let mut term = append.previous_term;
    let mut entries = Vec::with_capacity(append.entries.len());
    for (offset, entry) in append.entries.into_iter().enumerate() {
        let position = append.previous_index + 1 + offset as u64;
        if entry.term < term || entry.term > message.term {
            return Err(format!(
                "entry {position} has term {} after one of term {term}, in a message of term {}",
                entry.term, message.term
            ));
        }
        term = entry.term;
        entries.push(converted(position, entry)?);
    }
    message.set_entries(entries.into());
    Ok(message)
}

fn converted(position: u64, entry: v1::Entry) -> Result<Entry, String> {
    let kind = match v1::EntryKind::try_from(entry.kind) {
        Ok(v1::EntryKind::Command) => EntryType::EntryNormal,
        Ok(v1::EntryKind::Membership) => EntryType::EntryConfChangeV2,
        Err(_) => {
            return Err(format!(
                "entry {position} is of unknown kind {}",
                entry.kind
            ));
        }
    };
    Ok(raft_entry(position, entry.term, kind, entry.data))
}

fn fill_append_response(
    mut message: Message,
    response: &v1::AppendResponse,
) -> Result<Message, String> {
    message.index = index(response.index)?;
    message.commit = index(response.commit)?;
    if let Some(rejection) = &response.rejection {
        message.reject = true;
        message.reject_hint = index(rejection.hint_index)?;
        message.log_term = index(rejection.hint_term)?;
    }
    Ok(message)
}

fn fill_vote_request(mut message: Message, request: &v1::VoteRequest) -> Result<Message, String> {
    message.index = index(request.last_index)?;
    message.log_term = index(request.last_term)?;
    message.commit = index(request.commit)?;
    message.commit_term = index(request.commit_term)?;
    if request.is_transfer {
        message.context = Bytes::from_static(TRANSFER);
    }
    Ok(message)
}

/// A snapshot's header, whose members fit together.
fn checked_meta(install: v1::InstallSnapshot) -> Result<SnapshotMeta, String> {
    let meta = SnapshotMeta {
        index: index(install.index)?,
        term: index(install.term)?,
        voters: install.voters,
        learners: install.learners,
        voters_outgoing: install.voters_outgoing,
        learners_next: install.learners_next,
        auto_leave: install.auto_leave,
    };
    let set = |ids: &[u64]| ids.iter().copied().collect::<BTreeSet<u64>>();
    let (voters, outgoing) = (set(&meta.voters), set(&meta.voters_outgoing));
    let (learners, next) = (set(&meta.learners), set(&meta.learners_next));
    let fits = meta.index > 0
        && meta.term > 0
        && !voters.is_empty()
        && learners.is_disjoint(&voters)
        && learners.is_disjoint(&outgoing)
        && next.is_subset(&outgoing)
        && next.is_disjoint(&voters)
        && (!meta.auto_leave || !outgoing.is_empty())
        && [&voters, &outgoing, &learners]
            .iter()
            .all(|ids| !ids.contains(&0));
    if !fits {
        return Err(format!("its snapshot cannot be: {meta:?}"));
    }
    Ok(meta)
}

fn with_read(mut message: Message, read: Bytes) -> Result<Message, String> {
    if read.is_empty() {
        return Err("it names no read".to_owned());
    }
    let entry = Entry {
        data: read,
        ..Entry::default()
    };
    message.set_entries(vec![entry].into());
    Ok(message)
}
