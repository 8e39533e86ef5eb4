//! Whose words count: a stale worker or agent is told what it gave and what holds.

use convoy_common::ids::{Generation, Incarnation, StepIndex};

use super::fixtures::*;
use crate::Refusal;
use crate::command::{AgentRef, Command, Fence};
use crate::records::CheckpointKey;

/// Everything that a worker's report can become, fenced as said.
fn reports(by: &Fence) -> Vec<Command> {
    let key = CheckpointKey {
        generation: by.generation,
        attempt: by.attempt,
        ..checkpoint(10, false)
    };
    vec![
        Command::GenerationStarted { by: by.clone() },
        Command::RecordProgress {
            by: by.clone(),
            progress: progress(1),
        },
        Command::RecordEvaluation {
            by: by.clone(),
            evaluation: evaluation(10, 50),
        },
        Command::CommitCheckpoint {
            worker: by.worker.clone(),
            key,
            slices: vec![slice(0, 5), slice(1, 5)],
        },
        Command::ManifestWritten {
            by: by.clone(),
            step: StepIndex(10),
        },
    ]
}

#[test]
fn reports_of_an_older_life_are_refused_with_both_incarnations() {
    let mut story = Story::training();
    let given = worker(&story.id, 0, 0);
    let stale = Refusal::StaleIncarnation {
        given: given.clone(),
        current: Incarnation(1),
    };
    assert!(stale.is_stale());
    let by = Fence {
        worker: given.clone(),
        ..by(&story.id, 1)
    };
    let process = [started(given.clone()), ended(given)];
    for report in reports(&by).into_iter().chain(process) {
        story.refused(report, &stale);
    }
}

#[test]
fn reports_of_another_generation_are_refused_with_both_numbers() {
    let mut story = Story::training();
    for given in [0, 2].map(Generation) {
        let stale = Refusal::StaleGeneration {
            job: story.id.clone(),
            given,
            current: Generation(1),
        };
        assert!(stale.is_stale());
        for report in reports(&by(&story.id, given.0)) {
            story.refused(report, &stale);
        }
    }
}

#[test]
fn reports_of_another_attempt_are_refused_with_both_attempts() {
    let mut story = Story::training();
    for (given, is_stale) in [(0, true), (2, false)] {
        let wrong = Refusal::WrongAttempt {
            job: story.id.clone(),
            generation: Generation(1),
            given: attempt(given),
            formed: attempt(1),
        };
        assert_eq!(wrong.is_stale(), is_stale);
        let by = Fence {
            attempt: attempt(given),
            ..by(&story.id, 1)
        };
        for report in reports(&by) {
            story.refused(report, &wrong);
        }
    }
}

#[test]
fn results_come_from_the_newest_generation_that_started() {
    let mut story = Story::training();
    story.ok(Command::FormGeneration(formation(story.job(), 2, 10)));
    let second = Fence {
        attempt: attempt(2),
        ..by(&story.id, 2)
    };
    let results = |by: &Fence| reports(by).into_iter().skip(1).take(2);
    let unstarted = Refusal::NotStarted {
        job: story.id.clone(),
        generation: Generation(2),
    };
    for report in results(&second) {
        story.refused(report, &unstarted);
    }
    let first = by(&story.id, 1);
    let progress_of_first = results(&first).next().unwrap();
    story.ok(progress_of_first);
    story.ok(Command::GenerationStarted { by: second.clone() });
    let stale = Refusal::StaleGeneration {
        job: story.id.clone(),
        given: Generation(1),
        current: Generation(2),
    };
    for report in results(&first) {
        story.refused(report, &stale);
    }
    results(&second).for_each(|report| {
        story.ok(report);
    });
    let finish = Command::FinishJob {
        job: story.id.clone(),
        generation: Generation(1),
        evaluation: None,
        checkpoint: StepIndex(10),
    };
    story.refused(finish, &stale);
}

#[test]
fn slow_checkpoint_of_an_older_generation_is_committed_by_one_who_was_there() {
    let mut story = Story::training();
    story.ok(Command::FormGeneration(formation(story.job(), 2, 10)));
    let first = by(&story.id, 1);
    let checkpoint = reports(&first).remove(3);
    story.ok(checkpoint);
    story.ok(reports(&first).remove(4));
}

#[test]
fn worker_that_is_no_member_of_the_generation_it_names_is_refused() {
    let mut story = Story::training();
    // As after the replacement of a worker, which is not built yet.
    let mut state = serde_json::to_value(&story.cluster).unwrap();
    state["jobs"]["digits-1"]["generations"][0]["members"][0]["worker"]["incarnation"] = 0.into();
    story.cluster = serde_json::from_value(state).unwrap();
    let by = by(&story.id, 1);
    let stranger = Refusal::NotAMember {
        worker: by.worker.clone(),
        generation: Generation(1),
    };
    for report in reports(&by) {
        story.refused(report, &stranger);
    }
}

#[test]
fn agent_that_was_replaced_speaks_for_no_worker() {
    let mut story = Story::placed();
    story.ok(register("a", 9, 2));
    let worker = worker(&story.id, 0, 1);
    let stale = Refusal::AgentReplaced {
        node: node("a"),
        given: 1,
        current: 9,
    };
    assert!(stale.is_stale());
    for report in [started(worker.clone()), ended(worker), lose("a", 1)] {
        story.refused(report, &stale);
    }
}

#[test]
fn agent_of_another_node_speaks_for_no_worker() {
    let mut story = Story::placed();
    story.ok(register("b", 1, 2));
    let stranger: AgentRef = agent("b", 1);
    let worker = worker(&story.id, 0, 1);
    let report = Command::WorkerEnded {
        agent: stranger,
        worker: worker.clone(),
        obituary: killed(),
    };
    let elsewhere = Refusal::OnAnotherNode {
        worker,
        given: node("b"),
        current: node("a"),
    };
    story.refused(report, &elsewhere);
}
