//! Snapshots and compaction.

use super::group::{ELECTION_TICKS, Group, limits};
use crate::MembershipChange::AddLearner;
use crate::{ReplicaId, ReplicaLimits};

/// The log is cut to the snapshot before the newest, so two are needed to cut anything.
fn compact(group: &mut Group, id: u64) -> u64 {
    group.member(id).write_snapshot();
    group.write(id, "between");
    group.member(id).write_snapshot()
}

#[test]
fn slow_follower_after_compaction() {
    let mut group = Group::led(3);
    group.cut(3);
    group.write(1, "a");
    group.write(1, "b");
    let index = compact(&mut group, 1);
    assert!(group.member(1).replica.status().first_index > 4);
    group.mend(3);
    group.pass(2 * ELECTION_TICKS);
    assert_eq!(group.member(3).restored, Some(index));
    group.write(1, "c");
    group.pass(3);
    group.assert_applied(&[1, 2, 3], &["a", "b", "between", "c"]);
}

#[test]
fn follower_that_lags_less_than_a_snapshot_gets_entries() {
    let mut group = Group::led(3);
    group.write(1, "a");
    group.pass(3);
    group.member(1).write_snapshot();
    group.cut(3);
    group.write(1, "b");
    group.member(1).write_snapshot();
    group.mend(3);
    group.pass(2 * ELECTION_TICKS);
    assert_eq!(group.member(3).restored, None);
    group.assert_applied(&[1, 2, 3], &["a", "b"]);
}

#[test]
fn restart_begins_with_the_snapshot_and_hands_out_what_follows() {
    let mut group = Group::led(1);
    group.write(1, "a");
    let index = compact(&mut group, 1);
    group.write(1, "c");
    group.restart(1);
    assert_eq!(group.member(1).restored, Some(index));
    group.elect(1);
    group.assert_applied(&[1], &["a", "between", "c"]);
    assert_eq!(group.member(1).committed.len(), 1);
    assert_eq!(group.voters(1), [1]);
}

#[test]
fn restart_of_a_follower_after_an_installed_snapshot() {
    let mut group = Group::led(3);
    group.cut(3);
    group.write(1, "a");
    compact(&mut group, 1);
    group.mend(3);
    group.pass(2 * ELECTION_TICKS);
    group.restart(3);
    assert!(group.member(3).restored.is_some());
    group.write(1, "c");
    group.pass(2 * ELECTION_TICKS);
    group.assert_applied(&[1, 2, 3], &["a", "between", "c"]);
}

#[test]
fn snapshot_that_does_not_name_the_newcomer_is_not_sent_and_another_is_asked_for() {
    let mut group = Group::led(3);
    group.write(1, "a");
    compact(&mut group, 1);
    group.create(4, &[]);
    group.change(1, AddLearner(ReplicaId(4)));
    group.pass(3);
    assert_eq!(group.member(4).restored, None);
    assert!(group.member(1).snapshot_due);
    let index = group.member(1).write_snapshot();
    group.pass(2 * ELECTION_TICKS);
    assert_eq!(group.member(4).restored, Some(index));
    group.assert_applied(&[4], &["a", "between"]);
    assert_eq!(group.membership(4).learners, [ReplicaId(4)]);
    assert!(!group.member(1).snapshot_due);
}

#[test]
fn snapshot_that_did_not_arrive_is_sent_again() {
    let mut group = Group::led(3);
    group.cut(3);
    group.write(1, "a");
    compact(&mut group, 1);
    // Heard, but the file can't be carried: the group's network refuses it while the replica is gone.
    let gone = group.members.remove(&3).unwrap();
    group.mend(3);
    group.pass(2 * ELECTION_TICKS);
    group.members.insert(3, gone);
    group.pass(3 * ELECTION_TICKS);
    group.assert_applied(&[3], &["a", "between"]);
}

#[test]
fn snapshot_is_due_when_the_log_has_grown() {
    let small = ReplicaLimits {
        compact_after_bytes: 2_000,
        ..limits()
    };
    let mut group = Group::with(1, small);
    group.elect(1);
    assert!(!group.member(1).snapshot_due);
    while !group.member(1).snapshot_due {
        group.write(1, &"x".repeat(300));
    }
    group.member(1).write_snapshot();
    group.write(1, "a");
    assert!(!group.member(1).snapshot_due);
}

#[test]
fn proposals_go_on_through_many_snapshots() {
    let small = ReplicaLimits {
        compact_after_bytes: 1_000,
        ..limits()
    };
    let mut group = Group::with(3, small);
    group.elect(1);
    for number in 0..200 {
        group.write(1, &format!("{number:0100}"));
        for id in 1..=3 {
            if group.member(id).snapshot_due {
                group.member(id).write_snapshot();
            }
        }
    }
    group.pass(3);
    assert_eq!(group.member(1).applied.len(), 200);
    let first = group.members[&1].applied.clone();
    assert!((2..=3).all(|id| group.members[&id].applied == first));
    let status = group.member(1).replica.status();
    assert!(status.last_index - status.first_index < 50, "{status:?}");
}
