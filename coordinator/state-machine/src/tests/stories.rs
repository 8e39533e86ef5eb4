//! What happens to a job, in the order in which it happens.

use std::collections::{BTreeMap, BTreeSet};

use convoy_common::ids::{Generation, JobId, ShardIndex, StepIndex, WorkerId};

use super::fixtures::*;
use crate::actions::{Owed, desired_workers, outcome, owed_to};
use crate::cause::Evidence;
use crate::command::{Command, Outcome};
use crate::job::JobPhase;
use crate::membership::{Basis, Candidate, Disagreement, Forming, Next, Standing};
use crate::placement::{Decision, decide};
use crate::records::DatasetFingerprint;
use crate::slices::SliceCollector;
use crate::time::Moment;
use crate::view::{Live, WorkerStage, job_view};
use crate::{Cluster, Refusal};

fn forming(story: &Story) -> Forming {
    forming_on(story, story.job().dataset.clone())
}

fn forming_on(story: &Story, dataset: Option<DatasetFingerprint>) -> Forming {
    let live = story.job().live_workers().collect::<Vec<_>>();
    let candidates = live.into_iter().map(|worker| {
        let candidate = Candidate {
            node: node(&format!("n{}", worker.worker)),
            data_address: format!("127.0.0.1:{}", 9_000 + worker.worker.0),
            build: "0.1.0".to_owned(),
            worker,
        };
        (candidate.worker.worker, candidate)
    });
    let basis = Basis {
        job: story.id.clone(),
        parent: story.job().current_generation(),
        dataset,
        data_shards: SHARDS,
        candidates: candidates.collect::<BTreeMap<_, _>>(),
    };
    Forming::begin(attempt(1), basis, Moment::from_ms(0))
}

fn reason(cluster: &Cluster, id: &JobId) -> String {
    let (nobody, evidence) = (BTreeSet::new(), Evidence::default());
    let live = Live {
        attached: &nobody,
        trained: &nobody,
        forming: None,
        progress: None,
        evidence: &evidence,
    };
    job_view(cluster, cluster.job(id).unwrap(), live).reason
}

#[test]
fn a_job_goes_from_submission_to_its_end() {
    let mut story = Story::submitted();
    let id = story.id.clone();
    let Decision::Place(slots) = decide(&story.cluster, story.job()) else {
        panic!("two slots are free");
    };
    story.ok(Command::PlaceWorkers {
        job: id.clone(),
        slots,
    });
    let (first, second) = (worker(&id, 0, 1), worker(&id, 1, 2));
    let desired = desired_workers(&story.cluster, &node("a"), |_| false);
    let desired: Vec<_> = desired.into_iter().map(|own| own.worker).collect();
    assert_eq!(desired, [first.clone(), second.clone()]);

    form(&mut story);
    let go = Owed::Go {
        attempt: attempt(1),
        generation: Generation(1),
    };
    assert_eq!(owed_to(&story.cluster, &second), [go]);
    story.ok(Command::GenerationStarted { by: by(&id, 1) });
    finish(&mut story);
    assert!(matches!(
        owed_to(&story.cluster, &second)[..],
        [Owed::Finish { .. }]
    ));
    assert_eq!(
        outcome(story.job()),
        "trained 3 epochs in 30 steps; test accuracy 91.00 % (91 of 100); final checkpoint in /c/digits-1/step-00000030"
    );
    assert!(desired_workers(&story.cluster, &node("a"), |_| false).is_empty());
    assert_eq!(
        desired_workers(&story.cluster, &node("a"), |_| true).len(),
        2
    );
    story.ok(ended(first));
    assert_eq!(story.cluster.slot_holders().count(), 1);
}

/// From two attached workers to a committed generation.
fn form(story: &mut Story) {
    let (first, second) = (worker(&story.id, 0, 1), worker(&story.id, 1, 2));
    let mut forming = forming(story);
    assert_eq!(
        forming.stopped(&first, attempt(1), standing(0)),
        Ok(Next::Wait)
    );
    let Ok(Next::Prepare(plan)) = forming.stopped(&second, attempt(1), standing(0)) else {
        panic!("all have stopped");
    };
    assert_eq!(plan.members[1].shards, [ShardIndex(2), ShardIndex(3)]);
    assert_eq!(
        forming.ready(&second, attempt(1), digest(1)),
        Ok(Next::Wait)
    );
    let Ok(Next::Form(formation)) = forming.ready(&first, attempt(1), digest(1)) else {
        panic!("all are ready");
    };
    assert_eq!(
        story.ok(Command::FormGeneration(formation)),
        Outcome::Formed(Generation(1))
    );
    assert_eq!(story.job().build.as_deref(), Some("0.1.0"));
}

/// From a started generation to the job's end.
fn finish(story: &mut Story) {
    let (id, generation) = (story.id.clone(), Generation(1));
    let evaluated = |evaluation| Command::RecordEvaluation {
        by: by(&id, 1),
        evaluation,
    };
    assert_eq!(story.ok(evaluated(evaluation(30, 91))), Outcome::Done);
    assert_eq!(story.ok(evaluated(evaluation(30, 91))), Outcome::Unchanged);
    let mut collector = SliceCollector::default();
    assert_eq!(
        collector.written(&worker(&id, 1, 2), checkpoint(30, true), slice(1, 5), 2),
        None
    );
    let commit = collector
        .written(&worker(&id, 0, 1), checkpoint(30, true), slice(0, 5), 2)
        .unwrap();
    story.ok(commit);
    let owed = owed_to(&story.cluster, &worker(&id, 0, 1));
    assert!(
        matches!(&owed[..], [Owed::Go { .. }, Owed::WriteManifest(written)] if written.key.step == StepIndex(30))
    );
    assert!(
        matches!(
            owed_to(&story.cluster, &worker(&id, 1, 2))[..],
            [Owed::Go { .. }]
        ),
        "only rank 0 writes"
    );
    let step = StepIndex(30);
    let finish = Command::FinishJob {
        job: id.clone(),
        generation,
        evaluation: Some(step),
        checkpoint: step,
    };
    story.refused(
        finish.clone(),
        &Refusal::ManifestMissing {
            job: id.clone(),
            step,
        },
    );
    let by = by(&id, 1);
    story.ok(Command::ManifestWritten { by, step });
    story.ok(finish);
}

#[test]
fn a_waiting_job_says_how_many_slots_are_missing() {
    let mut cluster = Cluster::default();
    cluster.apply(submit(1, 2)).unwrap();
    let id = job("digits-1");
    assert_eq!(
        reason(&cluster, &id),
        "waits for 2 worker slots: 2 wanted, no node is connected"
    );
    cluster.apply(register("a", 1, 1)).unwrap();
    let text = "waits for 1 more worker slot: 2 wanted, 1 free on 1 node with 1 slot";
    assert_eq!(reason(&cluster, &id), text);
    cluster.apply(submit(2, 1)).unwrap();
    let text = "waits behind job digits-1, which was submitted earlier";
    assert_eq!(reason(&cluster, &job("digits-2")), text);
}

#[test]
fn a_job_is_placed_on_as_few_nodes_as_hold_it() {
    let mut story = Story::submitted();
    story.ok(register("b", 2, 1));
    story.ok(register("c", 3, 3));
    let Decision::Place(slots) = decide(&story.cluster, story.job()) else {
        panic!("six slots are free");
    };
    assert!(slots.iter().all(|(on, _)| *on == node("c")), "{slots:?}");
}

#[test]
fn a_cancelled_job_keeps_its_slots_until_its_workers_are_gone() {
    let mut story = Story::placed();
    let cancel = Command::CancelJob {
        job: story.id.clone(),
        reason: "Ctrl-C".to_owned(),
    };
    assert_eq!(story.ok(cancel.clone()), Outcome::Done);
    assert_eq!(story.ok(cancel), Outcome::Unchanged);
    story.ok(submit(2, 2));
    let next = job("digits-2");
    let text = "waits for 2 more worker slots: 2 wanted, 0 free on 1 node with 2 slots";
    assert_eq!(reason(&story.cluster, &next), text);
    for (index, incarnation) in [(0, 1), (1, 2)] {
        story.ok(ended(worker(&story.id, index, incarnation)));
    }
    story.ok(place(&next, &[("a", 0), ("a", 1)]));
    let newest = story
        .cluster
        .job(&next)
        .unwrap()
        .worker_ref(WorkerId(1))
        .unwrap();
    assert_eq!(
        newest,
        worker(&next, 1, 4),
        "incarnations are never given out twice"
    );
}

#[test]
fn an_agent_that_comes_back_with_a_new_life_has_lost_its_workers() {
    let mut story = Story::placed();
    story.ok(started(worker(&story.id, 0, 1)));
    story.ok(register("a", 9, 2));
    assert_eq!(story.job().live_workers().count(), 0);
    let old = Refusal::AgentReplaced {
        node: node("a"),
        given: 1,
        current: 9,
    };
    story.refused(register("a", 1, 2), &old);
}

#[test]
fn a_lost_node_that_comes_back_keeps_its_workers() {
    let mut story = Story::placed();
    story.ok(lose("a", 1));
    assert_eq!(
        story.job().live_workers().count(),
        2,
        "an agent's silence alone evicts nobody"
    );
    assert_eq!(story.ok(register("a", 1, 2)), Outcome::Done);
    assert_eq!(story.ok(register("a", 1, 2)), Outcome::Unchanged);
}

/// What is said of a worker 1 whose standing at the beginning is `other`, where worker 0 has the usual one.
fn disagreement(forming: &mut Forming, id: &JobId, other: Standing) -> Box<Disagreement> {
    forming
        .stopped(&worker(id, 0, 1), attempt(1), standing(0))
        .unwrap();
    forming
        .stopped(&worker(id, 1, 2), attempt(1), other)
        .unwrap_err()
}

#[test]
fn workers_with_different_data_form_no_generation() {
    let story = Story::placed();
    let mut fewer = standing(0);
    fewer.dataset.train_samples = 639;
    let mut others = standing(0);
    others.dataset.index_hash = digest(0x66);
    let usual = standing(0).dataset;
    for other in [fewer, others] {
        let text = format!(
            "worker 0 on node n0 and worker 1 on node n1 of job digits-1 train on different data: {usual}, and {}; give all \
             nodes the same files",
            other.dataset
        );
        let said = disagreement(&mut forming(&story), &story.id, other);
        assert_eq!(said.to_string(), text);
    }
    assert!(usual.to_string().starts_with("640 training and "));
}

#[test]
fn workers_with_other_data_than_the_job_began_with_form_no_generation() {
    let story = Story::placed();
    let pinned = standing(0).dataset;
    let mut forming = forming_on(&story, Some(pinned.clone()));
    let mut other = standing(0);
    other.dataset.test_samples = 1;
    let given = other.dataset.clone();
    forming
        .stopped(&worker(&story.id, 0, 1), attempt(1), other.clone())
        .unwrap();
    let said = forming
        .stopped(&worker(&story.id, 1, 2), attempt(1), other)
        .unwrap_err();
    assert_eq!(
        said.to_string(),
        format!(
            "worker 0 on node n0 of job digits-1 trains on {given}, the job began with {pinned}; restore the files it began with"
        )
    );
}

#[test]
fn workers_with_different_states_form_no_generation() {
    let story = Story::placed();
    let mut forming = forming(&story);
    let (first, second) = (worker(&story.id, 0, 1), worker(&story.id, 1, 2));
    forming.stopped(&first, attempt(1), standing(0)).unwrap();
    forming.stopped(&second, attempt(1), standing(0)).unwrap();
    forming.ready(&first, attempt(1), digest(1)).unwrap();
    let failure = forming.ready(&second, attempt(1), digest(3)).unwrap_err();
    assert!(matches!(*failure, Disagreement::States { .. }));
    let text = failure.to_string();
    assert!(
        text.contains(&"01".repeat(32)) && text.contains(&"03".repeat(32)),
        "{text}"
    );
}

#[test]
fn workers_at_different_places_form_no_generation() {
    let story = Story::placed();
    let failure = disagreement(&mut forming(&story), &story.id, standing(3));
    assert!(
        matches!(*failure, Disagreement::Positions { .. }),
        "{failure}"
    );
}

#[test]
fn answers_for_another_attempt_are_not_used() {
    let story = Story::placed();
    let mut forming = forming(&story);
    let late = forming
        .stopped(&worker(&story.id, 0, 1), attempt(0), standing(0))
        .unwrap();
    let Next::Ignore(stale) = late else {
        panic!("attempt 1.0 is over")
    };
    assert_eq!(
        stale.to_string(),
        "Stopped of worker 0 of job digits-1 (incarnation 1) for attempt 1.0 is not used: attempt 1.1 is stopping its workers"
    );
    let early = forming
        .ready(&worker(&story.id, 0, 1), attempt(1), digest(1))
        .unwrap();
    assert!(matches!(early, Next::Ignore(_)));
    let older_life = forming
        .stopped(&worker(&story.id, 0, 0), attempt(1), standing(0))
        .unwrap();
    assert!(matches!(older_life, Next::Ignore(_)));
}

#[test]
fn an_attempt_that_takes_too_long_names_who_is_missing() {
    let story = Story::placed();
    let mut forming = forming(&story);
    forming
        .stopped(&worker(&story.id, 0, 1), attempt(1), standing(0))
        .unwrap();
    assert_eq!(forming.overdue(1_000, Moment::from_ms(999)), None);
    assert_eq!(
        forming
            .overdue(1_000, Moment::from_ms(1_500))
            .unwrap()
            .to_string(),
        "worker 1 of job digits-1 did not stop and tell its position within 1.5 s of attempt 1.1"
    );
}

#[test]
fn a_view_shows_how_far_each_worker_is() {
    let mut story = Story::placed();
    story.ok(started(worker(&story.id, 0, 1)));
    let (attached, nobody) = (BTreeSet::from([WorkerId(0)]), BTreeSet::new());
    let evidence = Evidence::default();
    let live = Live {
        attached: &attached,
        trained: &nobody,
        forming: None,
        progress: None,
        evidence: &evidence,
    };
    let view = job_view(&story.cluster, story.job(), live);
    assert_eq!(
        view.reason,
        "waits for 1 of 2 workers to start and attach: worker 1"
    );
    let stages: Vec<_> = view.workers.iter().map(|worker| worker.stage).collect();
    assert_eq!(stages, [WorkerStage::Attached, WorkerStage::Assigned]);
    story.ok(Command::FailJob {
        job: story.id.clone(),
        reason: "no".to_owned(),
    });
    let view = job_view(&story.cluster, story.job(), live);
    assert_eq!(
        (view.phase, view.reason),
        (
            JobPhase::Failed {
                reason: "no".to_owned()
            },
            "no".to_owned()
        )
    );
}
