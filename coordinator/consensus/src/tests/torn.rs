//! Writes that are torn where it matters which half survives.

use std::sync::Arc;

use bytes::Bytes;
use convoy_journal::{EntryKind, Journal, SimulatedDisk};
use convoy_proto::raft::v1;
use convoy_proto::raft::v1::raft_message::Body;

use super::group::{CLUSTER, config, ids, limits};
use crate::{MembershipChange, Output, ProposalId, Replica, ReplicaId};

/// The log begins with three entries that found the cluster.
const FOUNDED: u64 = 3;
const TERM: u64 = 2;

/// What a leader sends to a follower that has missed everything: commands and two changes of members, the second proposed
/// when the first was committed.
fn catching_up() -> v1::RaftMessage {
    let command = || v1::Entry {
        term: TERM,
        kind: v1::EntryKind::Command.into(),
        data: Bytes::new(),
    };
    let change = |id| v1::Entry {
        kind: v1::EntryKind::Membership.into(),
        data: MembershipChange::AddLearner(ReplicaId(id)).encode(
            &crate::payload::Author {
                replica: 2,
                life: 9,
            }
            .proposer(ProposalId(id)),
        ),
        ..command()
    };
    v1::RaftMessage {
        cluster: CLUSTER,
        from: 2,
        to: 1,
        birth: 5,
        term: TERM,
        body: Some(Body::Append(v1::Append {
            previous_index: FOUNDED,
            previous_term: 1,
            commit: FOUNDED + 6,
            entries: vec![
                command(),
                change(4),
                command(),
                command(),
                change(5),
                command(),
            ],
        })),
    }
}

#[test]
fn change_of_members_is_never_found_without_the_commit_of_the_one_before() {
    let (mut torn_between, mut whole) = (0, 0);
    for seed in 0..400 {
        let disk = SimulatedDisk::new(seed);
        let created = Replica::create(Arc::new(disk.clone()), config(1, 1, limits()), &ids(3));
        let (mut replica, _) = created.unwrap();
        let mut out = Output::default();
        replica.advance(&mut |_, _| {}, &mut out).unwrap();
        replica.receive(catching_up()).unwrap();
        // The machine stops before the sync, after the last write of the group.
        disk.fail_sync_after(Some(0));
        let stopped = replica.advance(&mut |_, _| panic!("nothing is promised"), &mut out);
        assert!(stopped.is_err());
        drop(replica);
        let (_, found) = Journal::open(Arc::new(disk.crash()), limits().journal).unwrap();
        let changes: Vec<u64> = found
            .entries
            .iter()
            .filter(|entry| entry.kind == EntryKind::Membership && entry.index > FOUNDED)
            .map(|entry| entry.index)
            .collect();
        if let [first, _second] = changes[..] {
            let commit = found.hard_state.commit;
            assert!(
                commit >= first,
                "seed {seed}: {commit} is committed, and the changes are {changes:?}"
            );
            whole += 1;
        }
        torn_between += usize::from(changes.len() == 1);
    }
    assert!(torn_between > 0 && whole > 0, "{torn_between} and {whole}");
}

#[test]
fn torn_creation_is_finished() {
    let mut torn = 0;
    for seed in 0..200 {
        let disk = SimulatedDisk::new(seed);
        // The first sync is the one of the log's own creation.
        disk.fail_sync_after(Some(seed % 8));
        let create = |disk: &SimulatedDisk| {
            Replica::create(Arc::new(disk.clone()), config(1, 1, limits()), &ids(3))
        };
        torn += usize::from(create(&disk).is_err());
        let disk = disk.crash();
        let is_open = Replica::open(Arc::new(disk.clone()), config(1, 1, limits())).is_ok();
        if !is_open {
            create(&disk).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        }
        let (mut replica, _) = Replica::open(Arc::new(disk), config(1, 1, limits())).unwrap();
        let mut out = Output::default();
        replica.advance(&mut |_, _| {}, &mut out).unwrap();
        assert_eq!(replica.members().voters, ids(3), "seed {seed}");
    }
    assert!(torn > 0);
}
