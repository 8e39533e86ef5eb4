//! Linearizable reads.

use super::group::{ELECTION_TICKS, Group};
use crate::{ReadId, Rejected};

#[test]
fn read_sees_what_was_committed_before_it_on_every_replica() {
    let mut group = Group::led(3);
    group.write(1, "a");
    let committed = group.member(1).committed[0].index;
    for id in [1, 2, 3] {
        group.member(id).replica.read(ReadId(1));
        group.settle();
        let answer = group.member(id).reads[&ReadId(1)].clone();
        assert_eq!(answer, Ok(committed), "of replica {id}");
    }
}

#[test]
fn reads_that_come_together_share_one_round() {
    let mut group = Group::led(3);
    for number in 1..=100 {
        group.member(1).replica.read(ReadId(number));
    }
    group.advance(1);
    assert_eq!(
        group.waiting().count(),
        2,
        "one heartbeat for each follower"
    );
    group.settle();
    assert_eq!(group.member(1).reads.len(), 100);
}

#[test]
fn reads_that_come_during_a_round_of_the_leader_share_the_next() {
    let mut group = Group::led(3);
    for number in 1..=10 {
        group.member(1).replica.read(ReadId(number));
        group.advance(1);
    }
    assert_eq!(group.waiting().count(), 2, "the first round alone");
    group.deliver_all_once();
    group.advance_all();
    group.deliver_all_once();
    group.advance(1);
    assert_eq!(group.member(1).reads.len(), 1);
    assert_eq!(group.waiting().count(), 2, "one round for all others");
    group.settle();
    assert_eq!(group.member(1).reads.len(), 10);
}

#[test]
fn round_of_the_leader_that_got_lost_is_repeated_with_its_heartbeat() {
    let mut group = Group::led(3);
    group.member(1).replica.read(ReadId(1));
    group.advance(1);
    group.forget_all();
    group.member(1).replica.read(ReadId(2));
    group.pass(2);
    assert!(group.member(1).reads[&ReadId(1)].is_ok());
    assert!(group.member(1).reads[&ReadId(2)].is_ok());
}

#[test]
fn leader_that_was_deposed_without_knowing_it_answers_no_read() {
    let mut group = Group::led(3);
    group.cut(1);
    group.pass(2 * ELECTION_TICKS);
    let successor = group.leader().unwrap();
    group.write(successor, "new");
    group.member(1).replica.read(ReadId(1));
    group.pass(4 * ELECTION_TICKS);
    let answer = group.member(1).reads[&ReadId(1)].clone();
    assert!(
        matches!(answer, Err(Rejected::TimedOut { .. })),
        "{answer:?}"
    );
}

#[test]
fn read_at_a_leader_that_has_committed_nothing_yet_waits_instead_of_getting_lost() {
    let mut group = Group::of(3);
    group.member(1).replica.campaign();
    while !group.is_leader(1) {
        group.advance_all();
        group.deliver_all_once();
    }
    group.member(1).replica.read(ReadId(1));
    group.advance(1);
    assert!(group.member(1).reads.is_empty());
    group.settle();
    // The next round of anything begins it.
    group.pass(1);
    assert!(group.member(1).reads[&ReadId(1)].is_ok());
}

#[test]
fn read_whose_message_got_lost_is_sent_again() {
    let mut group = Group::led(3);
    group.member(2).replica.read(ReadId(1));
    group.advance(2);
    group.forget_all();
    group.pass(ELECTION_TICKS + 2);
    assert!(group.member(2).reads[&ReadId(1)].is_ok());
}

#[test]
fn read_survives_a_change_of_leader() {
    let mut group = Group::led(3);
    group.member(3).replica.read(ReadId(1));
    group.advance(3);
    group.forget_all();
    group.cut(1);
    group.pass(3 * ELECTION_TICKS - 2);
    let answer = group.member(3).reads.get(&ReadId(1)).cloned();
    assert!(
        matches!(answer, Some(Ok(_) | Err(Rejected::TimedOut { .. }))) || answer.is_none(),
        "{answer:?}"
    );
    group.member(3).replica.read(ReadId(2));
    group.pass(2);
    assert!(group.member(3).reads[&ReadId(2)].is_ok());
}

#[test]
fn single_voter_answers_reads_alone() {
    let mut group = Group::led(1);
    group.member(1).replica.read(ReadId(1));
    group.settle();
    assert!(group.member(1).reads[&ReadId(1)].is_ok());
}
