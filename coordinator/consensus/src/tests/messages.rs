//! Messages: what is refused, and the layout of what is kept.

use bytes::Bytes;
use convoy_proto::raft::v1;
use convoy_proto::raft::v1::raft_message::Body;
use prost::Message as _;

use super::group::{CLUSTER, Group};
use crate::{Fatal, MembershipChange, ProposalId, Refused, ReplicaId};

/// A message of replica 1 to replica 2, as replica 1 would send it.
fn message(group: &mut Group, term: u64, body: Body) -> v1::RaftMessage {
    let sender = group.member(1);
    sender.replica.tick();
    sender.replica.tick();
    group.advance(1);
    let template = group
        .waiting()
        .find(|message| message.from == 1)
        .cloned()
        .unwrap();
    v1::RaftMessage {
        to: 2,
        term,
        body: Some(body),
        ..template
    }
}

fn append(previous_index: u64, previous_term: u64, terms: &[u64]) -> Body {
    let entries = terms.iter().map(|term| v1::Entry {
        term: *term,
        kind: v1::EntryKind::Command.into(),
        data: Bytes::new(),
    });
    Body::Append(v1::Append {
        previous_index,
        previous_term,
        commit: 0,
        entries: entries.collect(),
    })
}

fn snapshot(voters: &[u64], learners: &[u64]) -> Body {
    Body::InstallSnapshot(v1::InstallSnapshot {
        index: 50,
        term: 2,
        voters: voters.to_vec(),
        learners: learners.to_vec(),
        ..v1::InstallSnapshot::default()
    })
}

#[test]
fn malformed_messages_are_refused_and_change_nothing() {
    let cases: [(u64, Body, &str); 11] = [
        (0, append(4, 2, &[]), "its term is 0"),
        (u64::MAX, append(4, 2, &[]), "its term is"),
        (
            2,
            append(4, 2, &[1]),
            "entry 5 has term 1 after one of term 2",
        ),
        (
            2,
            append(4, 2, &[2, 3]),
            "entry 6 has term 3 after one of term 2, in a message of term 2",
        ),
        (2, append(u64::MAX, 2, &[]), "it has the index or term"),
        (2, snapshot(&[], &[2]), "its snapshot cannot be"),
        (2, snapshot(&[1, 2], &[2]), "its snapshot cannot be"),
        (2, snapshot(&[0, 1], &[2]), "its snapshot cannot be"),
        (
            2,
            Body::ReadIndex(v1::ReadIndex { read: Bytes::new() }),
            "it names no read",
        ),
        (
            2,
            Body::Append(v1::Append {
                previous_index: 4,
                previous_term: 2,
                commit: 0,
                entries: vec![v1::Entry {
                    term: 2,
                    kind: 9,
                    data: Bytes::new(),
                }],
            }),
            "entry 5 is of unknown kind 9",
        ),
        (
            2,
            Body::HeartbeatResponse(v1::HeartbeatResponse {
                commit: u64::MAX,
                read: Bytes::new(),
            }),
            "it has the index or term",
        ),
    ];
    for (term, body, expected) in cases {
        let mut group = Group::led(3);
        let message = message(&mut group, term, body);
        let refused = group.member(2).replica.receive(message).unwrap_err();
        assert!(refused.to_string().contains(expected), "{refused}");
        group.pass(3);
        group.write(1, "a");
        group.pass(3);
        group.assert_applied(&[1, 2, 3], &["a"]);
    }
}

#[test]
fn messages_of_others_are_refused_with_both_values() {
    let mut group = Group::led(3);
    let message = message(&mut group, 2, append(4, 2, &[]));
    let mut check = |change: fn(&mut v1::RaftMessage), expected: &str| {
        let mut message = message.clone();
        change(&mut message);
        let refused = group
            .member(2)
            .replica
            .receive(message)
            .unwrap_err()
            .to_string();
        assert!(refused.contains(expected), "{refused}");
    };
    check(
        |message| message.cluster = 78,
        "cluster 000000000000004e came to cluster 000000000000004d",
    );
    check(
        |message| message.to = 3,
        "a message for replica 3 came to replica 2",
    );
    check(|message| message.from = 2, "another replica 2");
    check(|message| message.from = 0, "its sender is 0");
    check(
        |message| message.birth = 5,
        "replica 1 has another folder than before (birth 0000000000000005",
    );
    check(|message| message.body = None, "it has no body");
}

#[test]
fn answer_of_a_stranger_is_refused() {
    let mut group = Group::led(3);
    let response = Body::HeartbeatResponse(v1::HeartbeatResponse::default());
    let stranger = v1::RaftMessage {
        cluster: CLUSTER,
        from: 9,
        to: 1,
        birth: 1,
        term: 2,
        body: Some(response),
    };
    let refused = group.member(1).replica.receive(stranger).unwrap_err();
    assert_eq!(refused, Refused::UnknownSender { from: ReplicaId(9) });
}

#[test]
fn acknowledgement_beyond_the_leaders_log_is_refused() {
    let mut group = Group::led(3);
    let template = message(&mut group, 2, append(4, 2, &[]));
    let mut answer = None;
    group.settle();
    group.propose(1, "a");
    for _ in 0..2 {
        group.advance_all();
        answer = group
            .waiting()
            .find(|message| message.from == 2)
            .cloned()
            .or(answer);
        group.deliver_all_once();
    }
    let answer = v1::RaftMessage {
        body: Some(Body::AppendResponse(v1::AppendResponse {
            index: 1_000,
            ..v1::AppendResponse::default()
        })),
        ..answer.unwrap_or(template)
    };
    let refused = group.member(1).replica.receive(answer).unwrap_err();
    assert!(
        refused.to_string().contains("acknowledges entry 1000"),
        "{refused}"
    );
}

#[test]
fn replica_that_lost_acknowledged_entries_stops() {
    let mut group = Group::led(3);
    let heartbeat = Body::Heartbeat(v1::Heartbeat {
        commit: 1_000,
        ..v1::Heartbeat::default()
    });
    let message = message(&mut group, 2, heartbeat);
    assert!(group.member(2).replica.receive(message).is_err());
    group.settle();
    let fatal = group.member(2).fatal.as_ref().unwrap();
    assert!(
        matches!(
            fatal,
            Fatal::LostWrites {
                acknowledged: 1_000,
                ..
            }
        ),
        "{fatal}"
    );
}

#[test]
fn replica_without_a_log_gives_no_vote() {
    let mut group = Group::led(3);
    let request = Body::VoteRequest(v1::VoteRequest {
        last_index: 100,
        last_term: 9,
        ..v1::VoteRequest::default()
    });
    let message = v1::RaftMessage {
        to: 4,
        ..message(&mut group, 10, request)
    };
    group.create(4, &[]);
    let refused = group.member(4).replica.receive(message).unwrap_err();
    assert_eq!(refused, Refused::NothingLogged { from: ReplicaId(1) });
}

/// What is written stays readable: these bytes are in logs.
#[test]
fn layout_of_entries_does_not_change() {
    let author = crate::payload::Author {
        replica: 3,
        life: 0x0102_0304_0506_0708,
    };
    let commands = vec![
        (ProposalId(7), Bytes::from_static(b"first")),
        (ProposalId(8), Bytes::from_static(b"")),
    ];
    let batch = crate::payload::encode(author, commands);
    assert_eq!(
        hex(&batch),
        "0a0b080311080706050403020112090807120566697273741202 0808".replace(' ', "")
    );
    let change = MembershipChange::Replace {
        remove: ReplicaId(1),
        promote: ReplicaId(4),
    };
    let change = change.encode(&author.proposer(ProposalId(9)));
    assert_eq!(
        hex(&change),
        "12040801100112021004 1a0d080311080706050403020118 09".replace(' ', "")
    );
    assert_eq!(hex(&crate::membership::founding(2)), "12021002");
    let births = v1::Births {
        births: vec![v1::Birth {
            replica: 1,
            birth: 2,
        }],
    };
    assert_eq!(hex(&births.encode_to_vec()), "0a0b0801110200000000000000");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The empty change is how raft-rs leaves a joint configuration.
#[test]
fn changes_survive_their_encoding_and_the_empty_one_leaves_a_joint_configuration() {
    let (empty, proposer) = crate::membership::decode(Bytes::new()).unwrap();
    assert!(empty.leave_joint() && proposer.is_none());
    let author = crate::payload::Author {
        replica: 3,
        life: 4,
    };
    let change = MembershipChange::Replace {
        remove: ReplicaId(1),
        promote: ReplicaId(4),
    };
    let encoded = change.encode(&author.proposer(ProposalId(5)));
    let (decoded, proposer) = crate::membership::decode(encoded).unwrap();
    assert_eq!(decoded.enter_joint(), Some(true));
    assert_eq!(proposer, Some(author.proposer(ProposalId(5))));
    assert!(crate::membership::decode(Bytes::from_static(&[0xff])).is_err());
}
