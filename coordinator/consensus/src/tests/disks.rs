//! What replicas find on their disks, and what they may not find.

use std::sync::Arc;

use convoy_journal::SimulatedDisk;
use convoy_proto::raft::v1::raft_message::Body;

use super::group::{ELECTION_TICKS, Group, config, ids, limits};
use crate::{Fatal, Output, Refused, Rejected, Replica, ReplicaError, ReplicaId};

type OnDisk = Replica<SimulatedDisk>;

/// Takes the place of a replica whose disk was lost.
fn replace(group: &mut Group, id: u64, voters: &[ReplicaId]) {
    group.members.remove(&id);
    group.create(id, voters);
}

#[test]
fn wiped_voter_is_refused() {
    for voters in [ids(3), Vec::new()] {
        let mut group = Group::led(3);
        group.write(1, "a");
        group.pass(3);
        replace(&mut group, 3, &voters);
        group.pass(3 * ELECTION_TICKS);
        assert!(
            group.refused.iter().any(|refused| matches!(
                refused,
                Refused::OtherBirth {
                    from: ReplicaId(3),
                    ..
                } | Refused::NothingLogged { .. }
            )) || matches!(group.member(3).fatal, Some(Fatal::LostWrites { .. })),
            "{:?}",
            group.refused
        );
        let fatal = group
            .member(3)
            .fatal
            .as_ref()
            .expect("it stops")
            .to_string();
        assert!(fatal.contains("under a new id"), "{fatal}");
        // The others go on.
        group.write(1, "b");
        group.pass(3);
        group.assert_applied(&[1, 2], &["a", "b"]);
    }
}

#[test]
fn wiped_voter_does_not_help_a_stale_one_to_power() {
    let mut group = Group::led(3);
    group.pass(3);
    group.cut(2);
    group.write(1, "a");
    group.pass(3);
    group.assert_applied(&[1, 3], &["a"]);
    // Replica 3 forgets the command, replica 2 never had it, replica 1 is silent.
    replace(&mut group, 3, &ids(3));
    group.cut(1);
    group.mend(2);
    group.pass(10 * ELECTION_TICKS);
    assert!(!group.is_leader(2) && !group.is_leader(3));
    group.mend(1);
    group.pass(5 * ELECTION_TICKS);
    group.assert_applied(&[1, 2], &["a"]);
}

#[test]
fn promises_leave_after_the_sync_and_a_leaders_entries_before_it() {
    let mut group = Group::led(3);
    for member in group.members.values() {
        member.disk.set_latency(0, 1_000);
    }
    group.propose(1, "a");
    let mut out = Output::default();
    let mut check = |group: &mut Group, id: u64, expected: u64| {
        let member = group.member(id);
        let (disk, began_us) = (member.disk.clone(), member.disk.busy_us());
        let mut sent = Vec::new();
        member
            .replica
            .advance(
                &mut |_, message| sent.push((disk.busy_us() - began_us, message)),
                &mut out,
            )
            .unwrap();
        assert!(!sent.is_empty());
        assert!(
            sent.iter().all(|(after_us, _)| *after_us == expected),
            "{sent:?}"
        );
        sent
    };
    let appended = check(&mut group, 1, 0);
    let (_, message) = appended
        .into_iter()
        .find(|(_, message)| message.to == 2)
        .unwrap();
    group.member(2).replica.receive(message).unwrap();
    let answered = check(&mut group, 2, 1_000);
    assert!(matches!(answered[0].1.body, Some(Body::AppendResponse(_))));
}

#[test]
fn failed_sync_stops_the_replica_for_good() {
    let mut group = Group::led(1);
    group.member(1).disk.fail_sync_after(Some(0));
    group.write(1, "a");
    group.assert_applied(&[1], &[]);
    assert!(matches!(&group.member(1).fatal, Some(Fatal::Journal(error)) if error.is_fatal()));
    let mut out = Output::default();
    let again = group.member(1).replica.advance(&mut |_, _| {}, &mut out);
    assert!(matches!(again, Err(Fatal::Stopped)));
}

#[test]
fn full_disk_turns_commands_away_serves_reads_and_recovers() {
    let mut group = Group::led(3);
    group.write(1, "a");
    group.member(1).disk.set_capacity(Some(1));
    group.pass(1);
    let turned_away = group.write(1, "b");
    let rejected = group.member(1).rejected[&turned_away].clone();
    assert!(
        matches!(&rejected, Rejected::DiskFull { reason } if reason.contains("bytes are free")),
        "{rejected}"
    );
    group.member(1).replica.read(crate::ReadId(1));
    group.settle();
    assert!(group.member(1).reads[&crate::ReadId(1)].is_ok());
    group.member(1).disk.set_capacity(None);
    group.pass(1);
    group.write(1, "c");
    group.pass(3);
    group.assert_applied(&[1, 2, 3], &["a", "c"]);
}

#[test]
fn follower_with_a_full_disk_takes_no_commands_and_still_votes() {
    let mut group = Group::led(3);
    group.member(3).disk.set_capacity(Some(1));
    group.pass(1);
    group.write(1, "a");
    group.pass(3);
    group.assert_applied(&[1, 2], &["a"]);
    group.assert_applied(&[3], &[]);
    group.cut(2);
    group.pass(2 * ELECTION_TICKS);
    assert!(
        group.is_leader(1),
        "its heartbeats are answered: {:?} {:?} {:?}",
        group.refused,
        group.members[&3].fatal,
        group.members[&1].fatal
    );
    group.member(3).disk.set_capacity(None);
    group.mend(2);
    group.pass(3 * ELECTION_TICKS);
    group.assert_applied(&[1, 2, 3], &["a"]);
}

#[test]
fn interrupted_creation_is_finished_wherever_it_stopped() {
    for changes in 0..40 {
        let disk = SimulatedDisk::new(changes);
        disk.crash_after(Some(changes));
        let create = |disk: &SimulatedDisk| {
            OnDisk::create(Arc::new(disk.clone()), config(1, 9, limits()), &ids(3))
        };
        let is_finished = create(&disk).is_ok();
        let disk = disk.crash();
        if is_finished {
            OnDisk::open(Arc::new(disk), config(1, 10, limits())).unwrap();
            return;
        }
        if let Err(error) = OnDisk::open(Arc::new(disk.clone()), config(1, 10, limits())) {
            assert!(
                matches!(
                    error,
                    ReplicaError::NotCreated { .. } | ReplicaError::BirthsMissing { .. }
                ),
                "after {changes} changes: {error}"
            );
            create(&disk).unwrap();
        }
        OnDisk::open(Arc::new(disk), config(1, 10, limits())).unwrap();
    }
    panic!("creation takes more changes than that");
}

#[test]
fn folder_is_created_once_and_belongs_to_one_replica() {
    let disk = SimulatedDisk::new(1);
    let shared = || Arc::new(disk.clone());
    let check = |error: Option<ReplicaError>, expected: &str| {
        let text = error.expect("it is refused").to_string();
        assert!(text.contains(expected), "{text}");
    };
    check(
        OnDisk::open(shared(), config(1, 1, limits())).err(),
        "this folder holds no replica",
    );
    drop(OnDisk::create(shared(), config(1, 1, limits()), &ids(3)).unwrap());
    check(
        OnDisk::create(shared(), config(1, 2, limits()), &ids(3)).err(),
        "holds replica 1 already",
    );
    check(
        OnDisk::open(shared(), config(2, 3, limits())).err(),
        "belongs to replica 1 of cluster 000000000000004d, and the configuration says replica 2",
    );
}

#[test]
fn damaged_births_are_refused() {
    let disk = SimulatedDisk::new(1);
    drop(OnDisk::create(Arc::new(disk.clone()), config(1, 1, limits()), &ids(1)).unwrap());
    disk.flip_bit("births.bin", 8 * 17);
    let error = OnDisk::open(Arc::new(disk), config(1, 2, limits()))
        .err()
        .unwrap();
    assert!(error.to_string().contains("its checksum is"), "{error}");
}
