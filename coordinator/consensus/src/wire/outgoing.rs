//! raft-rs's messages in our form.

use convoy_proto::raft::v1;
use convoy_proto::raft::v1::raft_message::Body;
use raft::eraftpb::{Entry, EntryType, Message, MessageType};

use super::Envelope;

/// The context raft-rs gives the vote requests of a transfer of leadership.
pub(super) const TRANSFER: &[u8] = b"CampaignTransfer";

/// None for what does not travel: raft-rs forwards proposals and transfers to the leader, and passes on reads of third
/// parties; here the caller finds the leader.
pub(crate) fn outgoing(
    envelope: Envelope,
    message: Message,
    births: impl FnOnce() -> Vec<v1::Birth>,
) -> Option<v1::RaftMessage> {
    if message.from != envelope.from {
        return None;
    }
    let (to, term) = (message.to, message.term);
    let body = match message.get_msg_type() {
        MessageType::MsgAppend => Body::Append(append(message)),
        MessageType::MsgAppendResponse => Body::AppendResponse(append_response(&message)),
        MessageType::MsgRequestVote => Body::VoteRequest(vote_request(&message, false)),
        MessageType::MsgRequestPreVote => Body::VoteRequest(vote_request(&message, true)),
        MessageType::MsgRequestVoteResponse => Body::VoteResponse(vote_response(&message, false)),
        MessageType::MsgRequestPreVoteResponse => Body::VoteResponse(vote_response(&message, true)),
        MessageType::MsgHeartbeat => Body::Heartbeat(v1::Heartbeat {
            commit: message.commit,
            read: message.context,
            births: births(),
        }),
        MessageType::MsgHeartbeatResponse => Body::HeartbeatResponse(v1::HeartbeatResponse {
            commit: message.commit,
            read: message.context,
        }),
        MessageType::MsgSnapshot => Body::InstallSnapshot(install_snapshot(&message)),
        MessageType::MsgTimeoutNow => Body::TimeoutNow(v1::TimeoutNow {}),
        MessageType::MsgReadIndex => Body::ReadIndex(v1::ReadIndex {
            read: first_data(message),
        }),
        MessageType::MsgReadIndexResp => Body::ReadIndexResponse(v1::ReadIndexResponse {
            index: message.index,
            read: first_data(message),
        }),
        MessageType::MsgPropose
        | MessageType::MsgTransferLeader
        | MessageType::MsgHup
        | MessageType::MsgBeat
        | MessageType::MsgUnreachable
        | MessageType::MsgSnapStatus
        | MessageType::MsgCheckQuorum => return None,
    };
    Some(envelope.seal(to, term, body))
}

fn append(mut message: Message) -> v1::Append {
    v1::Append {
        previous_index: message.index,
        previous_term: message.log_term,
        commit: message.commit,
        entries: message.take_entries().into_iter().map(entry).collect(),
    }
}

fn entry(entry: Entry) -> v1::Entry {
    let kind = match entry.get_entry_type() {
        EntryType::EntryNormal => v1::EntryKind::Command,
        EntryType::EntryConfChange | EntryType::EntryConfChangeV2 => v1::EntryKind::Membership,
    };
    v1::Entry {
        term: entry.term,
        kind: kind.into(),
        data: entry.data,
    }
}

fn append_response(message: &Message) -> v1::AppendResponse {
    v1::AppendResponse {
        index: message.index,
        commit: message.commit,
        rejection: message.reject.then_some(v1::Rejection {
            hint_index: message.reject_hint,
            hint_term: message.log_term,
        }),
    }
}

fn vote_request(message: &Message, is_rehearsal: bool) -> v1::VoteRequest {
    v1::VoteRequest {
        is_rehearsal,
        is_transfer: message.context == TRANSFER,
        last_index: message.index,
        last_term: message.log_term,
        commit: message.commit,
        commit_term: message.commit_term,
    }
}

fn vote_response(message: &Message, is_rehearsal: bool) -> v1::VoteResponse {
    v1::VoteResponse {
        is_rehearsal,
        is_granted: !message.reject,
        commit: message.commit,
        commit_term: message.commit_term,
    }
}

fn install_snapshot(message: &Message) -> v1::InstallSnapshot {
    let metadata = message.get_snapshot().get_metadata();
    let members = metadata.get_conf_state();
    v1::InstallSnapshot {
        index: metadata.index,
        term: metadata.term,
        voters: members.voters.clone(),
        learners: members.learners.clone(),
        voters_outgoing: members.voters_outgoing.clone(),
        learners_next: members.learners_next.clone(),
        auto_leave: members.auto_leave,
    }
}

fn first_data(mut message: Message) -> bytes::Bytes {
    let mut entries = message.take_entries().into_iter();
    entries.next().map(|entry| entry.data).unwrap_or_default()
}
