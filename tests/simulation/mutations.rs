//! Errors that are put in on purpose: the schedules find each of them.

use convoy_consensus::Mutation;

use crate::plan::Plan;
use crate::schedules::{run_many, seeds};

/// Each is found among so many schedules.
const SCHEDULES: u64 = 2_000;

fn is_found(mutation: Mutation) {
    let plan = |seed| Plan {
        mutation: Some(mutation),
        ..Plan::draw(seed, 3)
    };
    let seeds = seeds(mutation as u64, SCHEDULES);
    let (_, failed) = run_many(seeds.clone(), plan);
    let place = failed.and_then(|failed| seeds.iter().position(|seed| *seed == failed));
    println!("{mutation:?} is found by schedule {place:?}");
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
    is_found(Mutation::TrustWipedReplicas);
}
