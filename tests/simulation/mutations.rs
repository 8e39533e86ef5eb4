//! Errors that are put in on purpose: the schedules find each of them.

use convoy_consensus::Mutation;

use crate::plan::Plan;
use crate::schedules::{run_many, seeds};

/// Each is found among so many schedules.
const SCHEDULES: u64 = 400;

fn is_found(mutation: Mutation) {
    let plan = |seed| Plan {
        mutation: Some(mutation),
        ..Plan::draw(seed, 3)
    };
    let (_, failed) = run_many(seeds(mutation as u64, SCHEDULES), plan);
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
