//! Changes of members.

use super::group::{ELECTION_TICKS, Group};
use crate::MembershipChange::{AddLearner, Promote, Remove, Replace};
use crate::{Rejected, ReplicaId};

/// A cluster of three with a fourth as learner that has caught up.
fn with_learner() -> Group {
    let mut group = Group::led(3);
    group.write(1, "a");
    group.create(4, &[]);
    let proposal = group.change(1, AddLearner(ReplicaId(4)));
    group.pass(4);
    assert!(group.member(1).changed.contains_key(&proposal));
    group.assert_applied(&[4], &["a"]);
    group
}

#[test]
fn newcomer_learns_everything_is_promoted_and_votes() {
    let mut group = with_learner();
    assert_eq!(group.membership(4).learners, [ReplicaId(4)]);
    group.change(1, Promote(ReplicaId(4)));
    group.pass(4);
    for id in 1..=4 {
        assert_eq!(group.voters(id), [1, 2, 3, 4], "of replica {id}");
    }
    // Three of four decide: two of the old ones are not enough any more.
    group.cut(3);
    group.write(1, "b");
    group.pass(3);
    group.assert_applied(&[1, 2, 4], &["a", "b"]);
    group.cut(4);
    group.write(1, "c");
    group.assert_applied(&[1], &["a", "b"]);
}

#[test]
fn learner_does_not_count() {
    let mut group = with_learner();
    group.cut(2);
    group.cut(3);
    group.write(1, "b");
    group.assert_applied(&[1, 4], &["a"]);
}

#[test]
fn removed_replica_gets_nothing_and_disturbs_nobody() {
    let mut group = Group::led(3);
    let proposal = group.change(1, Remove(ReplicaId(3)));
    group.pass(3);
    assert!(group.member(1).changed.contains_key(&proposal));
    assert_eq!(group.voters(1), [1, 2]);
    let term = group.member(1).replica.role().term();
    group.write(1, "a");
    group.pass(10 * ELECTION_TICKS);
    group.assert_applied(&[1, 2], &["a"]);
    group.assert_applied(&[3], &[]);
    assert_eq!(group.member(1).replica.role().term(), term);
}

#[test]
fn replica_is_replaced_in_one_step() {
    let mut group = with_learner();
    let change = Replace {
        remove: ReplicaId(2),
        promote: ReplicaId(4),
    };
    let proposal = group.change(1, change);
    group.pass(4);
    assert!(group.member(1).changed.contains_key(&proposal));
    for id in [1, 3, 4] {
        assert_eq!(group.voters(id), [1, 3, 4], "of replica {id}");
        assert!(!group.membership(id).is_joint());
    }
}

#[test]
fn leader_that_dies_in_a_joint_configuration_leaves_it_to_its_successor() {
    let mut group = with_learner();
    let change = Replace {
        remove: ReplicaId(2),
        promote: ReplicaId(4),
    };
    group.propose_change(1, change);
    // Until the joint configuration is applied somewhere besides the leader.
    for _ in 0..4 {
        group.advance_all();
        group.deliver_all_once();
    }
    group.cut(1);
    group.pass(6 * ELECTION_TICKS);
    let successor = group.leader().unwrap();
    assert!(!group.membership(successor).is_joint());
    group.mend(1);
    group.pass(4 * ELECTION_TICKS);
    let successor = group.leader().unwrap();
    group.write(successor, "b");
    group.pass(3);
    let voters = group.voters(successor);
    for id in &voters {
        group.assert_applied(&[*id], &["a", "b"]);
        assert_eq!(group.voters(*id), voters);
    }
}

#[test]
fn changes_that_make_no_sense_are_rejected_with_the_reason() {
    let mut group = with_learner();
    let mut check = |change, expected: &str| {
        let proposal = group.change(1, change);
        let rejected = group.member(1).rejected[&proposal].to_string();
        assert!(rejected.contains(expected), "{rejected}");
    };
    check(
        AddLearner(ReplicaId(2)),
        "replica 2 belongs to the cluster already",
    );
    check(AddLearner(ReplicaId(0)), "0 is no replica's id");
    check(
        Promote(ReplicaId(2)),
        "replica 2 is no learner (learners: [4])",
    );
    check(
        Promote(ReplicaId(9)),
        "a new replica is added as a learner first",
    );
    check(
        Remove(ReplicaId(9)),
        "replica 9 does not belong to the cluster",
    );
    check(Remove(ReplicaId(1)), "replica 1 leads: transfer leadership");
    check(
        Replace {
            remove: ReplicaId(1),
            promote: ReplicaId(4),
        },
        "replica 1 leads",
    );
}

#[test]
fn learner_that_lags_is_not_promoted() {
    let mut group = with_learner();
    group.cut(4);
    for number in 0..crate::membership::CAUGHT_UP_ENTRIES + 10 {
        group.write(1, &number.to_string());
    }
    let proposal = group.change(1, Promote(ReplicaId(4)));
    let rejected = &group.member(1).rejected[&proposal];
    assert!(
        matches!(rejected, Rejected::NotCaughtUp { .. }),
        "{rejected}"
    );
}

#[test]
fn one_change_at_a_time() {
    let mut group = Group::led(3);
    group.cut(2);
    group.cut(3);
    group.propose_change(1, AddLearner(ReplicaId(4)));
    let second = group.change(1, AddLearner(ReplicaId(5)));
    assert_eq!(group.member(1).rejected[&second], Rejected::ChangeUnderWay);
}

#[test]
fn replica_that_is_elected_while_its_removal_is_under_way_steps_down() {
    let mut group = Group::led(3);
    group.propose_change(1, Remove(ReplicaId(3)));
    // The removal reaches replica 3, and nobody hears that it is committed.
    group.advance(1);
    group.deliver_all_once();
    group.advance_all();
    group.forget_all();
    group.cut(1);
    group.member(3).replica.campaign();
    for _ in 0..3 * ELECTION_TICKS {
        group.members.get_mut(&2).unwrap().replica.tick();
    }
    group.pass(8 * ELECTION_TICKS);
    assert!(!group.is_leader(3), "it is no voter any more");
    group.mend(1);
    group.pass(6 * ELECTION_TICKS);
    let leader = group.leader().unwrap();
    assert_eq!(group.voters(leader), [1, 2]);
    group.write(leader, "a");
    group.pass(3);
    group.assert_applied(&[1, 2], &["a"]);
}
