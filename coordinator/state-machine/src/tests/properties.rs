//! Random histories of commands, good and bad ones mixed: what must hold after each of them.

use std::collections::{BTreeMap, BTreeSet};

use convoy_common::ids::{Generation, JobId, StepIndex, WorkerId};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::fixtures::*;
use crate::Cluster;
use crate::command::Command;
use crate::job::{Job, JobPhase};
use crate::placement::{Decision, decide};
use crate::records::{CheckpointKey, GenerationRecord};

/// What is tried next. Jobs are named by their place among all, so that many tries hit.
#[derive(Clone, Debug)]
enum Try {
    Submit {
        sequence: u64,
        workers: u32,
    },
    Register {
        node: u8,
        incarnation: u64,
        slots: u32,
    },
    Lose {
        node: u8,
        incarnation: u64,
    },
    OnJob {
        job: usize,
        what: OnJob,
    },
}

#[derive(Clone, Debug)]
enum OnJob {
    Place,
    PlaceAnywhere {
        slots: Vec<(u8, u32)>,
    },
    End {
        worker: u32,
        older: bool,
    },
    Form {
        counter: u64,
        start: u64,
        shift_shards: bool,
    },
    Cancel,
    Fail,
    Report {
        step: u64,
        what: Report,
    },
}

/// What a running generation reports.
#[derive(Clone, Debug)]
enum Report {
    Start,
    Evaluation { correct: u64 },
    Commit { weights: u8, last: bool },
    Written,
    Finish,
}

fn tries() -> impl Strategy<Value = Try> {
    let (node, incarnation) = (|| 0u8..3, || 1u64..4);
    prop_oneof![
        2 => (1u64..9, 0u32..6).prop_map(|(sequence, workers)| Try::Submit { sequence, workers }),
        2 => (node(), incarnation(), 0u32..4)
            .prop_map(|(node, incarnation, slots)| Try::Register { node, incarnation, slots }),
        1 => (node(), incarnation()).prop_map(|(node, incarnation)| Try::Lose { node, incarnation }),
        20 => (0usize..4, on_job()).prop_map(|(job, what)| Try::OnJob { job, what }),
    ]
}

fn on_job() -> impl Strategy<Value = OnJob> {
    let slots = prop::collection::vec((0u8..3, 0u32..4), 1..4);
    prop_oneof![
        4 => Just(OnJob::Place),
        1 => slots.prop_map(|slots| OnJob::PlaceAnywhere { slots }),
        1 => (0u32..4, any::<bool>()).prop_map(|(worker, older)| OnJob::End { worker, older }),
        4 => (0u64..9, 0u64..20, prop::bool::weighted(0.2))
            .prop_map(|(counter, start, shift_shards)| OnJob::Form { counter, start, shift_shards }),
        1 => prop_oneof![Just(OnJob::Cancel), Just(OnJob::Fail)],
        12 => (0u64..20, report()).prop_map(|(step, what)| OnJob::Report { step, what }),
    ]
}

fn report() -> impl Strategy<Value = Report> {
    prop_oneof![
        Just(Report::Start),
        (0u64..120).prop_map(|correct| Report::Evaluation { correct }),
        (0u8..2, any::<bool>()).prop_map(|(weights, last)| Report::Commit { weights, last }),
        Just(Report::Written),
        Just(Report::Finish),
    ]
}

fn named(number: u8) -> &'static str {
    ["a", "b", "c"][usize::from(number) % 3]
}

fn command(cluster: &Cluster, attempt: Try) -> Option<Command> {
    match attempt {
        Try::Submit { sequence, workers } => Some(submit(sequence, workers)),
        Try::Register {
            node,
            incarnation,
            slots,
        } => Some(register(named(node), incarnation, slots)),
        Try::Lose {
            node: number,
            incarnation,
        } => {
            let reason = "silent".to_owned();
            Some(Command::NodeLost {
                node: node(named(number)),
                incarnation,
                reason,
            })
        }
        Try::OnJob { job, what } => {
            let found = cluster.jobs().nth(job)?;
            on_job_command(cluster, found, found.id.clone(), what)
        }
    }
}

fn on_job_command(cluster: &Cluster, found: &Job, job: JobId, what: OnJob) -> Option<Command> {
    match what {
        OnJob::Place => match decide(cluster, found) {
            Decision::Place(slots) => Some(Command::PlaceWorkers { job, slots }),
            Decision::Wait(_) => None,
        },
        OnJob::PlaceAnywhere { slots } => {
            let slots: Vec<_> = slots
                .iter()
                .map(|(node, slot)| (named(*node), *slot))
                .collect();
            Some(place(&job, &slots))
        }
        OnJob::End { worker, older } => {
            let mut worker = found.worker_ref(WorkerId(worker))?;
            worker.incarnation.0 -= u64::from(older);
            Some(Command::WorkerEnded {
                worker,
                obituary: killed(),
            })
        }
        OnJob::Form {
            counter,
            start,
            shift_shards,
        } => {
            let mut formation = formation(found, counter, start);
            if shift_shards {
                formation.members.first_mut()?.shards.pop();
            }
            Some(Command::FormGeneration(formation))
        }
        OnJob::Cancel => Some(Command::CancelJob {
            job,
            reason: "no more".to_owned(),
        }),
        OnJob::Fail => Some(Command::FailJob {
            job,
            reason: "disk full".to_owned(),
        }),
        OnJob::Report { step, what } => report_command(found, job, StepIndex(step), what),
    }
}

fn report_command(found: &Job, job: JobId, step: StepIndex, what: Report) -> Option<Command> {
    let generation = found.current_generation();
    Some(match what {
        Report::Start => Command::GenerationStarted { job, generation },
        Report::Evaluation { correct } => {
            let evaluation = evaluation(step.0, correct);
            Command::RecordEvaluation {
                job,
                generation,
                evaluation,
            }
        }
        Report::Commit { weights, last } => {
            let newest = found.newest_generation()?;
            let attempt = newest.attempt;
            let key = CheckpointKey {
                generation,
                attempt,
                ..checkpoint(step.0, last)
            };
            let slices = newest
                .members
                .iter()
                .map(|member| slice(member.rank.0, weights));
            Command::CommitCheckpoint {
                job,
                key,
                slices: slices.collect(),
            }
        }
        Report::Written => {
            let step = found.last_checkpoint().map_or(step, |last| last.key.step);
            Command::ManifestWritten {
                job,
                generation,
                step,
            }
        }
        Report::Finish => {
            let checkpoint = found.last_checkpoint()?.key.step;
            let evaluation = found.evaluations.last().map(|last| last.step);
            Command::FinishJob {
                job,
                evaluation,
                checkpoint,
            }
        }
    })
}

/// A job without its workers' processes: those end after the job did.
fn without_processes(job: &Job) -> Job {
    Job {
        workers: BTreeMap::new(),
        ..job.clone()
    }
}

fn check_invariants(before: &Cluster, after: &Cluster) {
    let live = after.live_workers().count();
    assert_eq!(after.slot_holders().len(), live, "a slot has two owners");
    let incarnations: BTreeSet<_> = after
        .jobs()
        .flat_map(|job| job.workers.values().map(|worker| worker.incarnation))
        .collect();
    let workers: usize = after.jobs().map(|job| job.workers.len()).sum();
    assert_eq!(
        incarnations.len(),
        workers,
        "an incarnation was given out twice"
    );
    for job in after.jobs() {
        check_generations(job);
        let steps: Vec<_> = job
            .evaluations
            .iter()
            .map(|evaluation| evaluation.step)
            .collect();
        assert!(
            steps.is_sorted_by(|a, b| a < b),
            "evaluations out of order: {steps:?}"
        );
        let Some(earlier) = before.job(&job.id) else {
            continue;
        };
        assert!(
            continues(&earlier.generations, &job.generations),
            "a generation was taken back"
        );
        if earlier.phase.is_over() {
            assert_eq!(
                without_processes(earlier),
                without_processes(job),
                "a job that is over changed"
            );
        }
        if let JobPhase::Finished { checkpoint, .. } = job.phase {
            let last = job.last_checkpoint().unwrap();
            assert!(last.manifest_written && last.key.step == checkpoint);
        }
    }
}

fn check_generations(job: &Job) {
    for (number, generation) in (1..).map(Generation).zip(&job.generations) {
        assert_eq!(generation.number, number);
        assert_eq!(generation.parent.next(), number);
        let mut owned: Vec<_> = generation
            .members
            .iter()
            .flat_map(|member| member.shards.clone())
            .map(|v| v.0)
            .collect();
        owned.sort_unstable();
        assert_eq!(owned, (0..SHARDS).collect::<Vec<_>>(), "shards do not tile");
    }
    let pairs = || job.generations.iter().zip(job.generations.iter().skip(1));
    assert!(pairs().all(|(a, b)| a.attempt < b.attempt && a.start <= b.start));
}

fn continues(before: &[GenerationRecord], after: &[GenerationRecord]) -> bool {
    let same = before.iter().zip(after);
    same.filter(|(a, b)| a.number == b.number && a.members == b.members)
        .count()
        == before.len()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, rng_seed: RngSeed::Fixed(2), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_histories_keep_the_invariants_and_replay_to_the_same_state(
        history in prop::collection::vec(tries(), 1..80)
    ) {
        let mut cluster = Cluster::default();
        let mut log = Vec::new();
        for attempt in history {
            let Some(command) = command(&cluster, attempt) else { continue };
            log.push(command.clone());
            let before = cluster.clone();
            let refused = cluster.apply(command).is_err();
            if refused {
                prop_assert!(before.jobs().eq(cluster.jobs()) && before.nodes().eq(cluster.nodes()));
            }
            check_invariants(&before, &cluster);
        }
        let mut replica = Cluster::default();
        for command in log {
            let _ = replica.apply(command);
        }
        prop_assert_eq!(replica, cluster);
    }
}
