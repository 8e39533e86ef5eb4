//! Commands of clients run once, however often they are sent.

use super::fixtures::*;
use crate::command::{Command, Outcome};
use crate::job::PhaseName;
use crate::limits::{MAX_CLIENT_ID_BYTES, MAX_CLIENTS};
use crate::text::Text;
use crate::{Cluster, Refusal};

#[test]
fn repeated_submission_gives_the_same_job() {
    let mut story = Story::submitted();
    assert_eq!(story.ok(submit(1, 2)), Outcome::Submitted(job("digits-1")));
    assert_eq!(story.cluster.job_count(), 1);
    assert_eq!(story.ok(submit(2, 2)), Outcome::Submitted(job("digits-2")));
}

#[test]
fn repeated_command_is_answered_as_the_first_time_also_when_the_state_went_on() {
    let mut story = Story::submitted();
    let note = annotate(&story.id, "a", Some("1")).from_client("tool", 7);
    assert_eq!(story.ok(note.clone()), Outcome::Done);
    story.ok(annotate(&story.id, "a", Some("2")));
    assert_eq!(story.ok(note), Outcome::Done);
    assert_eq!(story.job().annotations["a"], "2", "it did not run again");
}

#[test]
fn repeated_command_that_was_refused_is_refused_the_same_also_when_it_would_hold_now() {
    let mut story = Story::submitted();
    let id = story.id.clone();
    let finish = Command::PlaceWorkers {
        job: id.clone(),
        slots: Vec::new(),
    };
    let refused = Refusal::WrongSlotCount {
        job: id.clone(),
        given: 0,
        wanted: 2,
    };
    let early = finish.from_client("tool", 1);
    story.refused(early, &refused);
    let later = place(&id, &[("a", 0), ("a", 1)]);
    story.refused(later.clone().from_client("tool", 1), &refused);
    story.ok(later.from_client("tool", 2));
}

#[test]
fn older_sequence_is_refused_with_both_numbers() {
    let mut story = Story::submitted();
    story.ok(submit(5, 2));
    let stale = Refusal::StaleSequence {
        client_id: "cli".to_owned(),
        given: 4,
        newest: 5,
    };
    assert!(stale.is_stale());
    story.refused(submit(4, 2), &stale);
    story.ok(submit(9, 2));
}

#[test]
fn clients_do_not_disturb_each_other_and_commands_without_a_client_always_run() {
    let mut story = Story::submitted();
    let cancel = |sequence| {
        let command = Command::CancelJob {
            job: job("digits-1"),
            reason: "no more".to_owned(),
        };
        command.from_client("other", sequence)
    };
    assert_eq!(story.ok(cancel(1)), Outcome::Done);
    assert_eq!(story.ok(cancel(2)), Outcome::Unchanged);
    assert_eq!(story.ok(cancel(1 + 1)), Outcome::Unchanged);
    assert_eq!(story.job().phase.name(), PhaseName::Cancelled);
    assert_eq!(story.ok(submit(1, 2)), Outcome::Submitted(job("digits-1")));
}

#[test]
fn client_without_a_name_or_with_one_that_is_too_long_is_refused_and_not_remembered() {
    let mut story = Story::submitted();
    for bytes in [0, MAX_CLIENT_ID_BYTES + 1] {
        let command = annotate(&story.id, "a", None).from_client("x".repeat(bytes), 1);
        let refused = Refusal::TextLength {
            what: Text::ClientId,
            bytes,
            least: 1,
            most: MAX_CLIENT_ID_BYTES,
        };
        story.refused(command, &refused);
    }
    assert_eq!(story.cluster.client_count(), 1);
}

#[test]
fn of_too_many_clients_the_one_that_was_quiet_for_longest_is_forgotten() {
    let mut cluster = Cluster::default();
    let id = job("digits-1");
    cluster.apply(submit(1, 2)).unwrap();
    for client in 0..MAX_CLIENTS - 1 {
        let note = annotate(&id, "a", None).from_client(format!("client-{client}"), 1);
        cluster.apply(note).unwrap();
    }
    // Heard again, so that the first of the others is the quietest.
    cluster.apply(submit(1, 2)).unwrap();
    cluster
        .apply(annotate(&id, "a", Some("x")).from_client("new", 1))
        .unwrap();
    assert_eq!(cluster.client_count(), MAX_CLIENTS);
    assert_eq!(
        cluster.apply(submit(1, 2)),
        Ok(Outcome::Submitted(id.clone()))
    );
    assert_eq!(cluster.job_count(), 1);
    let forgotten = annotate(&id, "a", None).from_client("client-0", 1);
    assert_eq!(cluster.apply(forgotten), Ok(Outcome::Done), "it runs anew");
}
