//! Stories of single workers, and a search for sequences that break the invariants.

use convoy_common::ids::{
    Attempt, Generation, Incarnation, JobId, Phase, Position, Rank, ShardIndex, StepIndex,
    WorkerId, WorkerRef,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

use crate::{Input, Member, Membership, Output, Report};

const DIGEST: [u8; 32] = [7; 32];

fn worker(id: u32, incarnation: u64) -> WorkerRef {
    WorkerRef {
        job: JobId::try_from("mnist-1".to_owned()).unwrap(),
        worker: WorkerId(id),
        incarnation: Incarnation(incarnation),
    }
}

fn attempt(counter: u64) -> Attempt {
    Attempt { term: 1, counter }
}

fn members() -> Vec<Member> {
    (0..2)
        .map(|id| Member {
            worker: worker(id, 10 + u64::from(id)),
            rank: Rank(id),
            data_address: format!("127.0.0.1:{}", 4000 + id),
            shards: vec![ShardIndex(id)],
        })
        .collect()
}

fn prepare(counter: u64) -> Input {
    Input::Prepare {
        attempt: attempt(counter),
        members: members(),
        start: StepIndex(0),
        parent: Generation(0),
    }
}

fn built(counter: u64) -> Input {
    Input::CollectiveBuilt {
        attempt: attempt(counter),
        state_digest: DIGEST,
    }
}

fn go(counter: u64, generation: u64) -> Input {
    Input::Go {
        attempt: attempt(counter),
        generation: Generation(generation),
    }
}

fn done(generation: u64) -> Input {
    let position = Position {
        generation: Generation(generation),
        step: StepIndex(9),
        phase: Phase::Finish,
    };
    Input::TrainingDone {
        generation: Generation(generation),
        position,
    }
}

/// Worker 1 after these inputs, and what the last of them led to.
fn after(inputs: impl IntoIterator<Item = Input>) -> (Membership, Vec<Output>) {
    let mut membership = Membership::new(worker(1, 11));
    let outputs = inputs
        .into_iter()
        .map(|input| membership.step(input))
        .last()
        .unwrap_or_default();
    (membership, outputs)
}

fn is_ignored(outputs: &[Output]) -> bool {
    matches!(outputs, [Output::Ignored { .. }])
}

#[test]
fn a_whole_job_from_stop_to_exit() {
    let mut story = Membership::new(worker(1, 11));
    let outputs = story.step(Input::Stop {
        attempt: attempt(1),
    });
    assert!(matches!(
        outputs[..],
        [
            Output::LeaveCollective { .. },
            Output::Report(Report::Stopped { .. })
        ]
    ));
    assert_eq!(
        story.step(prepare(1)),
        [Output::BuildCollective {
            attempt: attempt(1),
            members: members(),
            own: 1
        }]
    );
    assert_eq!(
        story.step(built(1)),
        [Output::Report(Report::Ready {
            attempt: attempt(1),
            state_digest: DIGEST
        })]
    );
    let start = Output::StartTraining {
        attempt: attempt(1),
        generation: Generation(1),
        start: StepIndex(0),
    };
    assert_eq!(story.step(go(1, 1)), [start]);
    assert!(matches!(
        story.step(done(1))[..],
        [Output::Report(Report::Trained { .. })]
    ));
    let outputs = story.step(Input::Finish {
        reason: "the job is complete".to_owned(),
    });
    assert!(matches!(
        outputs[..],
        [Output::LeaveCollective { .. }, Output::Exit { .. }]
    ));
}

#[test]
fn stop_of_a_newer_attempt_ends_training_before_it_is_answered() {
    let (_, outputs) = after([
        prepare(1),
        built(1),
        go(1, 1),
        Input::Stop {
            attempt: attempt(2),
        },
    ]);
    assert!(matches!(
        outputs[..],
        [
            Output::LeaveCollective { .. },
            Output::Report(Report::Stopped { .. })
        ]
    ));
}

#[test]
fn a_prepare_that_overtakes_its_stop_leaves_the_old_group_first() {
    for stories in [
        vec![prepare(1)],
        vec![prepare(1), built(1)],
        vec![prepare(1), built(1), go(1, 1)],
    ] {
        let (_, outputs) = after(stories.into_iter().chain([prepare(2)]));
        assert!(matches!(
            outputs[..],
            [
                Output::LeaveCollective { .. },
                Output::BuildCollective { .. }
            ]
        ));
    }
}

#[test]
fn what_belongs_to_an_older_attempt_is_ignored_with_both_attempts() {
    for late in [
        Input::Stop {
            attempt: attempt(1),
        },
        prepare(1),
        built(1),
        go(1, 1),
    ] {
        let (_, outputs) = after([
            Input::Stop {
                attempt: attempt(2),
            },
            late,
        ]);
        let [Output::Ignored { what }] = &outputs[..] else {
            panic!("{outputs:?}")
        };
        assert!(what.contains("1.1") && what.contains("1.2"), "{what}");
    }
}

#[test]
fn a_prepare_without_this_life_of_the_worker_is_refused() {
    let mut replaced = Membership::new(worker(1, 99));
    let outputs = replaced.step(prepare(1));
    let [Output::Report(Report::Broken { reason, .. })] = &outputs[..] else {
        panic!("{outputs:?}")
    };
    assert!(reason.contains("incarnation 99"), "{reason}");
}

#[test]
fn a_broken_group_is_reported_with_its_generation() {
    let failed = Input::CollectiveFailed {
        attempt: attempt(1),
        reason: "lost rank 0".to_owned(),
    };
    let (_, outputs) = after([prepare(1), built(1), go(1, 3), failed]);
    assert!(matches!(
        &outputs[..],
        [Output::Report(Report::Broken {
            generation: Generation(3),
            ..
        })]
    ));
}

#[test]
fn go_before_the_group_stands_and_a_second_go_are_ignored() {
    assert!(is_ignored(&after([prepare(1), go(1, 1)]).1));
    assert!(is_ignored(
        &after([prepare(1), built(1), go(1, 1), go(1, 1)]).1
    ));
    assert!(is_ignored(&after([go(1, 1)]).1));
}

#[test]
fn the_end_of_a_generation_that_was_stopped_is_not_reported() {
    assert!(is_ignored(
        &after([
            prepare(1),
            built(1),
            go(1, 1),
            Input::Stop {
                attempt: attempt(2)
            },
            done(1)
        ])
        .1
    ));
}

fn any_input() -> impl Strategy<Value = Input> {
    let counter = 0u64..4;
    prop_oneof![
        counter.clone().prop_map(|c| Input::Stop {
            attempt: attempt(c)
        }),
        counter.clone().prop_map(prepare),
        counter.clone().prop_map(built),
        (counter.clone(), 0u64..4).prop_map(|(c, g)| go(c, g)),
        counter.prop_map(|c| Input::CollectiveFailed {
            attempt: attempt(c),
            reason: "broken".to_owned()
        }),
        (0u64..4).prop_map(done),
    ]
}

proptest! {
    #![proptest_config(Config { rng_seed: RngSeed::Fixed(2), ..Config::default() })]
    #[test]
    fn no_sequence_of_inputs_breaks_the_invariants(inputs in prop::collection::vec(any_input(), 0..60)) {
        let mut membership = Membership::new(worker(1, 11));
        let mut started = Vec::new();
        let mut holds_group = false;
        for input in inputs {
            let before = membership.adopted();
            let outputs = membership.step(input);
            prop_assert!(membership.adopted() >= before);
            prop_assert!(!outputs.is_empty(), "every input is answered");
            for output in outputs {
                match output {
                    Output::LeaveCollective { .. } | Output::Report(Report::Broken { .. }) => holds_group = false,
                    Output::BuildCollective { .. } => {
                        prop_assert!(!holds_group, "two groups at once");
                        holds_group = true;
                    }
                    Output::StartTraining { .. } => prop_assert!(holds_group, "training without a group"),
                    Output::Report(_) | Output::Exit { .. } | Output::Ignored { .. } => {}
                }
                if let Output::StartTraining { attempt, generation, .. } = output {
                    prop_assert_eq!(attempt, membership.adopted());
                    prop_assert!(started.last().is_none_or(|last| *last < generation), "{:?} then {}", started, generation);
                    started.push(generation);
                }
            }
        }
    }
}
