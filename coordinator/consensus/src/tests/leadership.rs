//! Elections, proposals, and what becomes of them when the leader changes.

use super::group::{ELECTION_TICKS, Group, ids, limits};
use crate::{ProposalId, Rejected, ReplicaId, ReplicaLimits, Role};

#[test]
fn single_voter_commits_alone() {
    let mut group = Group::led(1);
    let proposal = group.write(1, "a");
    group.assert_applied(&[1], &["a"]);
    assert_eq!(group.member(1).committed[0].proposal, Some(proposal));
}

#[test]
fn single_voter_leads_again_after_a_restart_and_hands_out_everything_again() {
    let mut group = Group::led(1);
    group.write(1, "a");
    group.write(1, "b");
    group.restart(1);
    group.elect(1);
    group.assert_applied(&[1], &["a", "b"]);
    let mine: Vec<_> = group
        .member(1)
        .committed
        .iter()
        .filter(|command| command.proposal.is_some())
        .collect();
    assert!(
        mine.is_empty(),
        "proposals of an earlier life belong to nobody"
    );
}

#[test]
fn command_is_handed_out_on_every_replica_and_answered_on_one() {
    let mut group = Group::led(3);
    let proposal = group.write(1, "a");
    // Followers hear of the commit.
    group.pass(3);
    group.assert_applied(&[1, 2, 3], &["a"]);
    assert_eq!(group.member(1).committed[0].proposal, Some(proposal));
    assert_eq!(group.member(2).committed[0].proposal, None);
}

#[test]
fn commands_that_come_together_share_an_entry_in_order() {
    let mut group = Group::led(3);
    for text in ["a", "b", "c"] {
        group.propose(1, text);
    }
    group.settle();
    let committed = &group.member(1).committed;
    assert_eq!(committed.len(), 3);
    assert!(
        committed
            .iter()
            .all(|command| command.index == committed[0].index)
    );
    group.assert_applied(&[1], &["a", "b", "c"]);
}

#[test]
fn commands_that_come_while_an_entry_is_under_way_share_the_next() {
    let mut group = Group::led(3);
    for text in ["a", "b", "c", "d"] {
        group.propose(1, text);
        group.advance(1);
    }
    group.settle();
    group.assert_applied(&[1], &["a", "b", "c", "d"]);
    let committed = &group.member(1).committed;
    let entries: Vec<_> = committed.iter().map(|command| command.index).collect();
    let first = entries[0];
    assert_eq!(entries, [first, first + 1, first + 1, first + 1]);
}

#[test]
fn commands_that_fill_an_entry_do_not_wait_for_the_one_under_way() {
    let mut group = Group::led(3);
    let long = "x".repeat(limits().max_entry_bytes as usize / 2);
    for text in ["a", &long, &long, "b"] {
        group.propose(1, text);
        group.advance(1);
    }
    let appended = group.waiting().count();
    assert!(appended > 2, "more than the first entry is on its way");
    group.settle();
    group.assert_applied(&[1], &["a", &long, &long, "b"]);
}

#[test]
fn follower_names_the_leader_to_whoever_proposes() {
    let mut group = Group::led(3);
    let proposal = group.write(2, "a");
    let leader = Some(ReplicaId(1));
    assert_eq!(
        group.member(2).rejected[&proposal],
        Rejected::NotLeader { leader }
    );
}

#[test]
fn broken_connections_of_the_leader_bring_another_at_once() {
    let mut group = Group::led(3);
    group.write(1, "a");
    group.cut(1);
    for id in [2, 3] {
        group.lose_connection(id, 1);
    }
    group.pass(1);
    assert!(group.is_leader(2), "the first by its id");
    group.assert_applied(&[2], &["a"]);
}

#[test]
fn voter_whose_log_is_too_old_leaves_its_turn_to_the_next() {
    let mut group = Group::led(3);
    group.cut(2);
    group.write(1, "a");
    group.mend(2);
    group.cut(1);
    for id in [2, 3] {
        group.lose_connection(id, 1);
    }
    group.pass(3);
    assert!(group.is_leader(3));
    group.assert_applied(&[3], &["a"]);
}

#[test]
fn broken_connection_of_a_leader_that_lives_changes_nothing() {
    let mut group = Group::led(3);
    let term = group.member(1).replica.role().term();
    group.lose_connection(2, 1);
    // Of another that does not lead it says nothing at all.
    group.lose_connection(3, 2);
    group.pass(2 * ELECTION_TICKS);
    assert!(group.is_leader(1));
    let leader = Some(ReplicaId(1));
    for id in [2, 3] {
        let role = group.member(id).replica.role();
        assert_eq!(role, Role::Follower { term, leader }, "{id}");
    }
}

#[test]
fn end_of_a_connection_from_another_folder_says_nothing_of_the_leader() {
    let mut group = Group::led(3);
    group.cut(1);
    let birth = group.member(1).replica.birth();
    for id in [2, 3] {
        let claimed = birth.wrapping_add(1);
        let replica = &mut group.member(id).replica;
        replica.connection_lost(ReplicaId(1), claimed);
    }
    group.pass(3);
    assert_eq!(group.leader(), Some(1));
}

#[test]
fn broken_connection_does_not_put_off_an_election_that_is_near() {
    let ticks_until_candidate = |lost_after: Option<u32>| {
        let mut group = Group::led(3);
        group.cut(1);
        let mut ticks = 0;
        while matches!(group.member(3).replica.role(), Role::Follower { .. }) {
            if lost_after == Some(ticks) {
                group.lose_connection(3, 1);
            }
            ticks += 1;
            group.member(3).replica.tick();
            group.advance(3);
        }
        ticks
    };
    let usual = ticks_until_candidate(None);
    assert!(usual >= ELECTION_TICKS);
    assert_eq!(ticks_until_candidate(Some(usual - 1)), usual);
}

#[test]
fn leader_change_rejects_proposals_in_flight() {
    let mut group = Group::led(3);
    group.cut(1);
    let lost = group.write(1, "lost");
    group.pass(3 * ELECTION_TICKS);
    let successor = group.leader().unwrap();
    assert_ne!(successor, 1);
    // Without a majority the old leader has stepped down; what it had is uncertain to its client.
    assert_eq!(group.member(1).rejected[&lost], Rejected::Unknown);
    group.write(successor, "kept");
    group.mend(1);
    group.pass(3 * ELECTION_TICKS);
    group.assert_applied(&[1, 2, 3], &["kept"]);
}

#[test]
fn proposal_that_was_called_uncertain_may_still_be_committed_and_is_not_answered_again() {
    let mut group = Group::led(3);
    let proposal = group.propose(1, "a");
    group.advance(1);
    group.deliver_all_once();
    // The others have it on their disks, and their answers get lost.
    group.advance_all();
    group.forget_all();
    group.cut(1);
    group.pass(3 * ELECTION_TICKS);
    assert_eq!(group.member(1).rejected[&proposal], Rejected::Unknown);
    group.mend(1);
    group.pass(3 * ELECTION_TICKS);
    group.assert_applied(&[1, 2, 3], &["a"]);
    assert_eq!(group.member(1).committed[0].proposal, None);
}

#[test]
fn leader_is_settled_once_it_handed_out_an_entry_of_its_term() {
    let mut group = Group::of(3);
    group.member(1).replica.campaign();
    // Elected, but the first entry is on nobody else's disk.
    while !group.is_leader(1) {
        group.advance_all();
        assert!(group.waiting().count() > 0, "votes are on their way");
        group.deliver_all_once();
    }
    assert!(matches!(
        group.member(1).replica.role(),
        Role::Leader {
            is_settled: false,
            ..
        }
    ));
    group.settle();
    assert!(matches!(
        group.member(1).replica.role(),
        Role::Leader {
            is_settled: true,
            ..
        }
    ));
}

#[test]
fn leadership_is_handed_over_and_commands_are_turned_away_meanwhile() {
    let mut group = Group::led(3);
    group
        .member(1)
        .replica
        .transfer_leadership(ReplicaId(2))
        .unwrap();
    let turned_away = group.propose(1, "a");
    group.settle();
    assert_eq!(
        group.member(1).rejected[&turned_away],
        Rejected::Transferring { to: ReplicaId(2) }
    );
    assert_eq!(group.leader(), Some(2));
    assert!(!group.is_leader(1));
}

#[test]
fn leadership_stays_where_nobody_takes_over() {
    let mut group = Group::led(3);
    group.cut(2);
    group.write(1, "a");
    group
        .member(1)
        .replica
        .transfer_leadership(ReplicaId(2))
        .unwrap();
    group.pass(2 * ELECTION_TICKS);
    assert_eq!(group.leader(), Some(1));
    group.write(1, "b");
    group.assert_applied(&[1], &["a", "b"]);
}

#[test]
fn leadership_goes_to_other_voters_only() {
    let mut group = Group::led(3);
    for (from, to) in [(1, 1), (1, 9)] {
        let refused = group
            .member(from)
            .replica
            .transfer_leadership(ReplicaId(to))
            .unwrap_err();
        assert!(
            matches!(refused, Rejected::NoSuchChange { .. }),
            "{refused}"
        );
    }
    let refused = group
        .member(2)
        .replica
        .transfer_leadership(ReplicaId(3))
        .unwrap_err();
    assert_eq!(
        refused,
        Rejected::NotLeader {
            leader: Some(ReplicaId(1))
        }
    );
}

#[test]
fn replica_that_was_cut_off_does_not_disturb_the_leader() {
    let mut group = Group::led(3);
    let term = group.member(1).replica.role().term();
    group.cut(3);
    group.pass(10 * ELECTION_TICKS);
    group.mend(3);
    group.pass(3 * ELECTION_TICKS);
    assert_eq!(
        group.member(1).replica.role(),
        Role::Leader {
            term,
            is_settled: true
        }
    );
}

#[test]
fn too_large_a_command_is_turned_away() {
    let mut group = Group::led(1);
    let proposal = group.write(1, &"x".repeat(2_000));
    let rejected = &group.member(1).rejected[&proposal];
    assert_eq!(
        rejected.to_string(),
        "the command has 2032 bytes, 1000 are allowed"
    );
}

#[test]
fn commands_wait_until_others_are_committed_and_beyond_that_are_turned_away() {
    let mut group = Group::led(3);
    group.cut(2);
    group.cut(3);
    let texts: Vec<String> = (0..40).map(|number| format!("{number:0500}")).collect();
    let proposals: Vec<ProposalId> = texts
        .iter()
        .map(|text| {
            let proposal = group.propose(1, text);
            group.advance(1);
            proposal
        })
        .collect();
    let is_busy = |rejected: Option<&Rejected>| matches!(rejected, Some(Rejected::Busy { .. }));
    let rejected = &group.members[&1].rejected;
    assert!(!rejected.contains_key(&proposals[20]), "it waits");
    assert!(is_busy(rejected.get(&proposals[39])), "{rejected:?}");
    let accepted = proposals
        .iter()
        .filter(|proposal| !rejected.contains_key(proposal))
        .count();
    group.mend(2);
    group.mend(3);
    group.pass(6);
    let expected: Vec<&str> = texts[..accepted].iter().map(String::as_str).collect();
    group.assert_applied(&[1, 2, 3], &expected);
}

#[test]
fn five_voters_go_on_without_two() {
    let mut group = Group::led(5);
    group.cut(4);
    group.cut(5);
    group.write(1, "a");
    group.pass(3);
    group.assert_applied(&[1, 2, 3], &["a"]);
    group.cut(3);
    group.write(1, "b");
    group.assert_applied(&[1], &["a"]);
    group.pass(2 * ELECTION_TICKS);
    assert!(
        !group.is_leader(1),
        "a leader without a majority steps down"
    );
}

#[test]
fn configuration_that_cannot_work_is_refused_with_its_numbers() {
    let check = |change: fn(&mut crate::ReplicaConfig), expected: &str| {
        let mut config = super::group::config(1, 1, limits());
        change(&mut config);
        let disk = std::sync::Arc::new(convoy_journal::SimulatedDisk::new(1));
        let error = crate::Replica::create(disk, config, &ids(1)).err().unwrap();
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(|config| config.id = ReplicaId(0), "positive");
    check(
        |config| config.heartbeat_ticks = 6,
        "election_ticks is 6 and heartbeat_ticks 6",
    );
    check(|config| config.heartbeat_ticks = 0, "heartbeat_ticks is 0");
    let too_large = |config: &mut crate::ReplicaConfig| {
        config.limits = ReplicaLimits {
            max_entry_bytes: 100_000,
            ..config.limits
        };
    };
    check(too_large, "max_entry_bytes is 100000");
    check(
        |config| config.id = ReplicaId(4),
        "replica 4 is not among the voters",
    );
}
