//! The committed cluster version and the coordinators that must support it.

use convoy_common::ids::ReplicaId;

use super::fixtures::*;
use crate::command::{Command, Outcome};
use crate::limits::{MAX_ADDRESS_BYTES, MAX_REPLICAS};
use crate::replica::Replica;
use crate::text::Text;
use crate::version::{BuildTooOld, ClusterVersion};
use crate::{Cluster, Refusal};

const NEXT: ClusterVersion = ClusterVersion(ClusterVersion::NEWEST.0 + 1);

fn set(version: ClusterVersion) -> Command {
    Command::SetClusterVersion { version }
}

fn member(replica: u64, supports: ClusterVersion) -> Command {
    let member = Replica {
        raft_address: format!("c{replica}:7000"),
        api_address: format!("c{replica}:7001"),
        build: "convoy test".to_owned(),
        supports,
    };
    Command::SetMember {
        replica: ReplicaId(replica),
        member,
    }
}

#[test]
fn commands_beyond_the_committed_version_are_refused_with_both_versions() {
    let committed = ClusterVersion(0);
    let mut cluster = Cluster::at_version(committed);
    let needed = ClusterVersion(1);
    let refused = Refusal::ClusterVersionNeeded { needed, committed };
    assert_eq!(cluster.apply(register("a", 1, 2)), Err(refused));
    assert_eq!(cluster.apply(set(needed)), Ok(Outcome::Done));
    assert_eq!(cluster.apply(register("a", 1, 2)), Ok(Outcome::Done));
    assert_eq!(cluster.version(), needed);
}

#[test]
fn committed_version_does_not_fall() {
    let mut story = Story::submitted();
    assert_eq!(story.ok(set(ClusterVersion::NEWEST)), Outcome::Unchanged);
    let lower = Refusal::ClusterVersionLower {
        given: ClusterVersion(0),
        committed: ClusterVersion::FIRST,
    };
    story.refused(set(ClusterVersion(0)), &lower);
}

#[test]
fn version_that_some_coordinator_does_not_support_is_refused_by_every_build_alike() {
    let mut story = Story::submitted();
    story.ok(member(1, NEXT));
    story.ok(member(2, ClusterVersion::NEWEST));
    let too_old = Refusal::ReplicaTooOld {
        replica: ReplicaId(2),
        build: "convoy test".to_owned(),
        supports: ClusterVersion::NEWEST,
        needed: NEXT,
    };
    story.refused(set(NEXT), &too_old);
    assert_eq!(story.cluster.check_build(&set(NEXT)), Ok(()));
}

#[test]
fn build_that_does_not_know_a_version_that_all_support_must_stop() {
    let mut story = Story::submitted();
    story.ok(member(1, NEXT));
    let (committed, known) = (NEXT, ClusterVersion::NEWEST);
    let stop = BuildTooOld { committed, known };
    assert_eq!(story.cluster.check_build(&set(NEXT)), Err(stop));
    let unknown = Refusal::ClusterVersionUnknown { given: NEXT, known };
    story.refused(set(NEXT), &unknown);
    assert_eq!(story.cluster.version(), known);
}

#[test]
fn coordinator_below_the_committed_version_is_not_taken_in() {
    let mut story = Story::submitted();
    let too_old = Refusal::ReplicaTooOld {
        replica: ReplicaId(3),
        build: "convoy test".to_owned(),
        supports: ClusterVersion(0),
        needed: ClusterVersion::FIRST,
    };
    story.refused(member(3, ClusterVersion(0)), &too_old);
}

#[test]
fn coordinators_come_change_and_go() {
    let mut story = Story::submitted();
    assert_eq!(story.ok(member(1, ClusterVersion::FIRST)), Outcome::Done);
    assert_eq!(
        story.ok(member(1, ClusterVersion::FIRST)),
        Outcome::Unchanged
    );
    assert_eq!(story.ok(member(1, NEXT)), Outcome::Done);
    let known = story.cluster.replica(ReplicaId(1)).unwrap();
    assert_eq!(
        (known.api_address.as_str(), known.supports),
        ("c1:7001", NEXT)
    );
    let remove = Command::RemoveMember {
        replica: ReplicaId(1),
    };
    assert_eq!(story.ok(remove.clone()), Outcome::Done);
    assert_eq!(story.ok(remove), Outcome::Unchanged);
    assert_eq!(story.cluster.replicas().count(), 0);
}

#[test]
fn number_of_coordinators_and_length_of_addresses_are_limited() {
    let mut story = Story::submitted();
    for replica in 0..MAX_REPLICAS as u64 {
        story.ok(member(replica, ClusterVersion::FIRST));
    }
    let too_many = Refusal::TooManyReplicas {
        replica: ReplicaId(99),
        replicas: MAX_REPLICAS,
    };
    story.refused(member(99, ClusterVersion::FIRST), &too_many);
    let Command::SetMember {
        replica,
        mut member,
    } = member(0, ClusterVersion::FIRST)
    else {
        unreachable!("made one line above");
    };
    member.raft_address = String::new();
    let empty = Refusal::TextLength {
        what: Text::Address,
        bytes: 0,
        least: 1,
        most: MAX_ADDRESS_BYTES,
    };
    story.refused(Command::SetMember { replica, member }, &empty);
}
