//! Errors that are put in on purpose: the schedules find each of them.

use convoy_consensus::Mutation;

use crate::plan::Plan;
use crate::schedules::{attempt, run_many, seeds};

/// Each is found among so many schedules.
const SCHEDULES: u64 = 2_000;

fn is_found(mutation: Mutation) {
    is_found_in(mutation, |plan| plan);
}

fn is_found_in(mutation: Mutation, adapt: impl Fn(Plan) -> Plan + Sync) {
    let plan = |seed| Plan {
        mutation: Some(mutation),
        ..adapt(Plan::draw(seed, 3))
    };
    let seeds = seeds(mutation as u64, SCHEDULES);
    let (_, failed) = run_many(seeds.clone(), plan);
    let place = failed.and_then(|failed| seeds.iter().position(|seed| *seed == failed));
    let what = failed.map(|seed| attempt(plan(seed), false).expect_err("it fails again").what);
    println!("{mutation:?} is found by schedule {place:?}: {what:?}");
    assert!(
        failed.is_some(),
        "{SCHEDULES} schedules did not find {mutation:?}"
    );
}

#[test]
fn acknowledging_before_the_sync_is_found() {
    is_found(Mutation::AcknowledgeBeforeSync);
}

#[test]
fn sending_promises_before_the_sync_is_found() {
    is_found(Mutation::SendBeforeSync);
}

#[test]
fn reading_without_asking_the_others_is_found() {
    is_found(Mutation::AnswerReadsAtOnce);
}

#[test]
fn batching_into_messages_that_were_made_before_is_found() {
    is_found(Mutation::BatchAppend);
}

#[test]
fn trusting_a_wiped_replica_is_found() {
    // Harm takes a rare company: one replica that lost its disk, one that is behind, and nobody else.
    is_found_in(Mutation::TrustWipedReplicas, |plan| Plan {
        loses_a_disk: true,
        members_every_us: None,
        ..plan
    });
}
