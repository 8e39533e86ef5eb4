//! Nodes, notes and lists: what they hold, and how much of it.

use std::collections::{BTreeMap, BTreeSet};

use convoy_common::ids::{JobId, SlotIndex};
use convoy_common::spec::JobSpec;

use super::fixtures::*;
use crate::cause::Evidence;
use crate::command::{Command, Outcome};
use crate::job::PhaseName;
use crate::limits::{
    MAX_ANNOTATION_VALUE_BYTES, MAX_ANNOTATIONS, MAX_ENDED_JOBS, MAX_LABELS, MAX_REASON_BYTES,
};
use crate::node::NodeOffer;
use crate::placement::{Decision, WaitReason, decide, next_waiting};
use crate::spec::StoredSpec;
use crate::text::Text;
use crate::view::{JobSummary, Live, SlotUse, job_summary, job_view, node_view};
use crate::{Cluster, Refusal};

fn with_nobody<T>(look: impl FnOnce(Live<'_>) -> T) -> T {
    let (nobody, evidence) = (BTreeSet::new(), Evidence::default());
    look(Live {
        attached: &nobody,
        trained: &nobody,
        forming: None,
        progress: None,
        evidence: &evidence,
    })
}

fn summary(cluster: &Cluster, id: &JobId) -> JobSummary {
    with_nobody(|live| job_summary(cluster, cluster.job(id).unwrap(), live))
}

fn cancel(id: &JobId) -> Command {
    Command::CancelJob {
        job: id.clone(),
        reason: "no more\nat all".to_owned(),
    }
}

#[test]
fn notes_on_a_job_are_replaced_taken_away_and_shown_also_when_it_is_over() {
    let mut story = Story::submitted();
    let id = story.id.clone();
    assert_eq!(story.ok(annotate(&id, "best", Some("no"))), Outcome::Done);
    assert_eq!(
        story.ok(annotate(&id, "best", Some("no"))),
        Outcome::Unchanged
    );
    story.ok(cancel(&id));
    assert_eq!(story.ok(annotate(&id, "best", Some("yes"))), Outcome::Done);
    assert_eq!(story.ok(annotate(&id, "other", Some(""))), Outcome::Done);
    assert_eq!(story.ok(annotate(&id, "other", None)), Outcome::Done);
    assert_eq!(story.ok(annotate(&id, "other", None)), Outcome::Unchanged);
    let view = with_nobody(|live| job_view(&story.cluster, story.job(), live));
    let expected = BTreeMap::from([("best".to_owned(), "yes".to_owned())]);
    assert_eq!(view.annotations, expected);
}

#[test]
fn notes_are_limited_in_number_and_length() {
    let mut story = Story::submitted();
    let id = story.id.clone();
    for note in 0..MAX_ANNOTATIONS {
        story.ok(annotate(&id, &format!("n{note}"), Some("x")));
    }
    let too_many = Refusal::TooManyAnnotations {
        job: id.clone(),
        annotations: MAX_ANNOTATIONS,
    };
    story.refused(annotate(&id, "one more", Some("x")), &too_many);
    story.ok(annotate(&id, "n0", Some("y")));
    let long = "x".repeat(MAX_ANNOTATION_VALUE_BYTES + 1);
    let too_long = Refusal::TextLength {
        what: Text::AnnotationValue,
        bytes: long.len(),
        least: 0,
        most: MAX_ANNOTATION_VALUE_BYTES,
    };
    story.refused(annotate(&id, "n0", Some(&long)), &too_long);
    let no_key = Text::AnnotationKey.check("").unwrap_err();
    story.refused(annotate(&id, "", Some("x")), &no_key);
}

#[test]
fn node_is_shown_with_what_it_offers_and_who_uses_it() {
    let mut story = Story::placed();
    story.ok(lose("a", 1));
    let (a, cluster) = (node("a"), &story.cluster);
    let view = node_view(cluster, &a, cluster.node(&a).unwrap());
    let used = [(0, 1), (1, 2)].map(|(index, incarnation)| SlotUse {
        slot: SlotIndex(index),
        worker: worker(&story.id, index, incarnation),
    });
    assert_eq!(view.used, used);
    assert_eq!((view.slots, view.lost.as_deref()), (2, Some("silent")));
    assert_eq!(
        (view.labels["rack"].as_str(), view.build.as_str()),
        ("r1", "convoy test")
    );
    assert_eq!(
        (view.protocol_version, view.worker_memory_bytes),
        (1, Some(1 << 30))
    );
}

#[test]
fn same_life_of_an_agent_may_change_what_it_offers() {
    let mut story = Story::placed();
    let mut new = offer(3);
    new.labels.clear();
    let again = Command::RegisterNode {
        agent: agent("a", 1),
        offer: new.clone(),
    };
    assert_eq!(story.ok(again), Outcome::Done);
    assert_eq!(story.cluster.node(&node("a")).unwrap().offer, new);
    assert_eq!(story.job().live_workers().count(), 2);
}

#[test]
fn labels_are_limited_in_number_and_length() {
    let mut story = Story::submitted();
    let with = |labels: BTreeMap<String, String>| Command::RegisterNode {
        agent: agent("b", 1),
        offer: NodeOffer { labels, ..offer(1) },
    };
    let many = (0..=MAX_LABELS).map(|label| (format!("l{label}"), String::new()));
    let too_many = Refusal::TooManyLabels {
        node: node("b"),
        labels: MAX_LABELS + 1,
    };
    story.refused(with(many.collect()), &too_many);
    let no_key = Text::LabelKey.check("").unwrap_err();
    let nameless = BTreeMap::from([(String::new(), String::new())]);
    story.refused(with(nameless), &no_key);
}

#[test]
fn list_of_jobs_has_a_line_for_each_in_the_order_of_their_submission() {
    let mut story = Story::training();
    for sequence in 2..12 {
        story.ok(submit(sequence, 2));
    }
    let by = by(&story.id, 1);
    let progress = progress(12);
    story.ok(Command::RecordProgress { by, progress });
    let numbers: Vec<u64> = story.cluster.jobs_from(2).map(|job| job.number).collect();
    assert_eq!(
        numbers,
        (2..12).collect::<Vec<_>>(),
        "digits-10 comes after digits-9"
    );
    let running = summary(&story.cluster, &story.id);
    assert_eq!(
        (running.phase, running.live, running.wanted),
        (PhaseName::Training, 2, 2)
    );
    assert_eq!(
        (running.step.map(|step| step.0), running.steps),
        (Some(12), Some(30))
    );
    story.ok(cancel(&job("digits-2")));
    let ended = summary(&story.cluster, &job("digits-2"));
    assert_eq!(ended.reason, "cancelled: no more", "one line");
    assert_eq!(story.cluster.open_jobs().count(), 10);
}

#[test]
fn jobs_that_fit_run_side_by_side_on_slots_of_their_own() {
    let mut story = Story::placed();
    story.ok(register("b", 1, 3));
    story.ok(submit(2, 2));
    story.ok(submit(3, 1));
    while let Some(next) = next_waiting(&story.cluster) {
        let Decision::Place(slots) = decide(&story.cluster, next) else {
            panic!("five slots are enough for five workers");
        };
        let job = next.id.clone();
        story.ok(Command::PlaceWorkers { job, slots });
    }
    assert_eq!(story.cluster.slot_holders().count(), 5);
}

#[test]
fn job_that_would_fit_does_not_overtake_the_one_that_waits_longest() {
    let mut story = Story::submitted();
    story.ok(submit(2, 3));
    story.ok(submit(3, 1));
    let (large, small) = (job("digits-2"), job("digits-3"));
    story.ok(place(&story.id.clone(), &[("a", 0), ("a", 1)]));
    story.ok(register("b", 1, 2));
    let decision = |story: &Story, id| decide(&story.cluster, story.cluster.job(id).unwrap());
    let behind = WaitReason::Behind {
        first: large.clone(),
    };
    assert_eq!(decision(&story, &small), Decision::Wait(behind));
    assert!(matches!(
        decision(&story, &large),
        Decision::Wait(WaitReason::TooFewSlots { free: 2, .. })
    ));
    story.ok(cancel(&large));
    assert!(matches!(decision(&story, &small), Decision::Place(_)));
}

#[test]
fn spec_comes_out_as_it_went_in() {
    let text = r#"{
        "name": "digits",
        "model": { "name": "small_cnn", "classes": 10 },
        "data": {
            "format": "idx", "train_images": "/d/a", "train_labels": "/d/b", "test_images": "/d/c", "test_labels": "/d/d",
            "mean": [0.5], "std": [0.25]
        },
        "training": { "epochs": 3, "global_batch": 64, "data_shards": 4 },
        "optimizer": { "name": "sgd", "learning_rate": 0.1 },
        "elastic": { "min_workers": 1, "max_workers": 4 },
        "checkpoints": { "folder": "/c" }
    }"#;
    let given = JobSpec::from_json(text).unwrap();
    let mut cluster = Cluster::default();
    let (spec, same) = (StoredSpec::new(&given).unwrap(), spec().bounds());
    cluster
        .apply(Command::SubmitJob { spec, workers: 2 })
        .unwrap();
    let kept = &cluster.job(&job("digits-1")).unwrap().spec;
    assert_eq!(JobSpec::from_json(kept.json()).unwrap(), given);
    assert_eq!(
        (kept.name(), kept.epochs(), kept.bounds()),
        ("digits", 3, same)
    );
}

#[test]
fn reason_that_is_too_long_is_cut_and_the_job_fails_all_the_same() {
    let mut story = Story::training();
    story.ok(Command::FailJob {
        job: story.id.clone(),
        reason: "x".repeat(MAX_REASON_BYTES + 1),
    });
    let summary = summary(&story.cluster, &story.id);
    assert_eq!(summary.phase, PhaseName::Failed);
    assert!(summary.reason.ends_with(" ..."));
}

#[test]
fn of_too_many_jobs_that_are_over_the_oldest_without_workers_is_forgotten() {
    let mut story = Story::placed();
    story.ok(cancel(&story.id.clone()));
    let all = MAX_ENDED_JOBS as u64 + 3;
    for number in 2..=all {
        story.ok(submit(number, 2));
        story.ok(cancel(&job(&format!("digits-{number}"))));
    }
    story.ok(submit(all + 1, 2));
    assert_eq!(story.cluster.job_count(), MAX_ENDED_JOBS + 1);
    assert!(
        story.cluster.job(&story.id).is_some(),
        "its workers still hold slots"
    );
    assert!(story.cluster.job(&job("digits-4")).is_none());
    assert!(story.cluster.job(&job("digits-5")).is_some());
    story.cluster.check_orders();
}
