//! Random histories of commands, good and bad ones mixed: what must hold after each of them.

use std::collections::{BTreeMap, BTreeSet};

use convoy_common::ids::{Generation, Incarnation, JobId, ReplicaId, StepIndex, WorkerId};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::fixtures::*;
use crate::command::{Answer, Command, Envelope, Fence, Outcome};
use crate::job::{Job, JobPhase};
use crate::placement::{Decision, decide};
use crate::records::{CheckpointKey, GenerationRecord};
use crate::replica::Replica;
use crate::version::ClusterVersion;
use crate::{Cluster, Refusal, codec};

/// What is tried next. Jobs are named by their place among all, so that many tries hit.
#[derive(Clone, Debug)]
enum Try {
    Submit {
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
    Version(u32),
    Member {
        replica: u64,
        supports: u32,
        comes: bool,
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
    Annotate {
        key: u8,
        value: Option<u8>,
    },
    Report {
        step: u64,
        stale: Stale,
        what: Report,
    },
}

/// What is wrong with a report's fence.
#[derive(Clone, Copy, Debug)]
enum Stale {
    Nothing,
    Incarnation,
    Generation,
    Attempt,
}

/// What a running generation reports.
#[derive(Clone, Debug)]
enum Report {
    Start,
    Progress,
    Evaluation { correct: u64 },
    Commit { weights: u8, last: bool },
    Written,
    Finish,
}

fn tries() -> impl Strategy<Value = Try> {
    let (node, incarnation) = (|| 0u8..3, || 1u64..4);
    prop_oneof![
        2 => (0u32..6).prop_map(|workers| Try::Submit { workers }),
        2 => (node(), incarnation(), 0u32..4)
            .prop_map(|(node, incarnation, slots)| Try::Register { node, incarnation, slots }),
        1 => (node(), incarnation()).prop_map(|(node, incarnation)| Try::Lose { node, incarnation }),
        1 => (0u32..3).prop_map(Try::Version),
        1 => (0u64..3, 0u32..3, any::<bool>())
            .prop_map(|(replica, supports, comes)| Try::Member { replica, supports, comes }),
        24 => (0usize..4, on_job()).prop_map(|(job, what)| Try::OnJob { job, what }),
    ]
}

/// Who wants it: nobody in particular, or a client with this sequence.
fn origins() -> impl Strategy<Value = Option<(u8, u64)>> {
    prop::option::weighted(0.4, (0u8..3, 1u64..12))
}

fn on_job() -> impl Strategy<Value = OnJob> {
    let slots = prop::collection::vec((0u8..3, 0u32..4), 1..4);
    let stale = prop_oneof![
        7 => Just(Stale::Nothing),
        1 => Just(Stale::Incarnation),
        1 => Just(Stale::Generation),
        1 => Just(Stale::Attempt),
    ];
    prop_oneof![
        4 => Just(OnJob::Place),
        1 => slots.prop_map(|slots| OnJob::PlaceAnywhere { slots }),
        1 => (0u32..4, any::<bool>()).prop_map(|(worker, older)| OnJob::End { worker, older }),
        4 => (0u64..9, 0u64..20, prop::bool::weighted(0.2))
            .prop_map(|(counter, start, shift_shards)| OnJob::Form { counter, start, shift_shards }),
        1 => prop_oneof![Just(OnJob::Cancel), Just(OnJob::Fail)],
        2 => (0u8..3, prop::option::of(0u8..3)).prop_map(|(key, value)| OnJob::Annotate { key, value }),
        14 => (0u64..20, stale, report()).prop_map(|(step, stale, what)| OnJob::Report { step, stale, what }),
    ]
}

fn report() -> impl Strategy<Value = Report> {
    prop_oneof![
        Just(Report::Start),
        Just(Report::Progress),
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
    Some(match attempt {
        Try::Submit { workers } => Command::SubmitJob {
            spec: spec(),
            workers,
        },
        Try::Register {
            node,
            incarnation,
            slots,
        } => register(named(node), incarnation, slots),
        Try::Lose { node, incarnation } => lose(named(node), incarnation),
        Try::Version(version) => Command::SetClusterVersion {
            version: ClusterVersion(version),
        },
        Try::Member {
            replica,
            supports,
            comes,
        } => member(ReplicaId(replica), supports, comes),
        Try::OnJob { job, what } => {
            let found = cluster.jobs().nth(job)?;
            return on_job_command(cluster, found, found.id.clone(), what);
        }
    })
}

fn member(replica: ReplicaId, supports: u32, comes: bool) -> Command {
    if !comes {
        return Command::RemoveMember { replica };
    }
    let member = Replica {
        raft_address: "r:1".to_owned(),
        api_address: "a:1".to_owned(),
        build: "b".to_owned(),
        supports: ClusterVersion(supports),
    };
    Command::SetMember { replica, member }
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
            let node = &found.workers.get(&worker.worker)?.node;
            let incarnation = cluster.node(node)?.incarnation;
            Some(Command::WorkerEnded {
                agent: agent(node.as_str(), incarnation),
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
        OnJob::Annotate { key, value } => {
            let value = value.map(|value| value.to_string());
            Some(annotate(&job, &key.to_string(), value.as_deref()))
        }
        OnJob::Report { step, stale, what } => {
            let by = fence(found, stale)?;
            report_command(found, job, by, StepIndex(step), what)
        }
    }
}

fn fence(found: &Job, stale: Stale) -> Option<Fence> {
    let newest = found.newest_generation()?;
    let mut fence = Fence {
        worker: newest.members.first()?.worker.clone(),
        generation: newest.number,
        attempt: newest.attempt,
    };
    match stale {
        Stale::Nothing => {}
        Stale::Incarnation => fence.worker.incarnation.0 -= 1,
        Stale::Generation => fence.generation.0 -= 1,
        Stale::Attempt => fence.attempt.term -= 1,
    }
    Some(fence)
}

fn report_command(
    found: &Job,
    job: JobId,
    by: Fence,
    step: StepIndex,
    what: Report,
) -> Option<Command> {
    let generation = by.generation;
    Some(match what {
        Report::Start => Command::GenerationStarted { by },
        Report::Progress => Command::RecordProgress {
            by,
            progress: progress(step.0),
        },
        Report::Evaluation { correct } => Command::RecordEvaluation {
            by,
            evaluation: evaluation(step.0, correct),
        },
        Report::Commit { weights, last } => {
            let members = &found.newest_generation()?.members;
            let key = CheckpointKey {
                generation,
                attempt: by.attempt,
                ..checkpoint(step.0, last)
            };
            let slices = members.iter().map(|member| slice(member.rank.0, weights));
            Command::CommitCheckpoint {
                worker: by.worker,
                key,
                slices: slices.collect(),
            }
        }
        Report::Written => Command::ManifestWritten {
            by,
            step: found.last_checkpoint().map_or(step, |last| last.key.step),
        },
        Report::Finish => Command::FinishJob {
            job,
            generation,
            evaluation: found.evaluations.last().map(|last| last.step),
            checkpoint: found.last_checkpoint()?.key.step,
        },
    })
}

/// A job without what may change after its end: its workers' processes and notes.
fn without_processes(job: &Job) -> Job {
    Job {
        workers: BTreeMap::new(),
        annotations: BTreeMap::new(),
        ..job.clone()
    }
}

fn check_invariants(before: &Cluster, after: &Cluster) {
    after.check_orders();
    let live = after.jobs().flat_map(Job::live_workers).count();
    assert_eq!(after.slot_holders().count(), live, "a slot has two owners");
    assert!(after.version() >= before.version(), "the version fell");
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

/// The newest sequence and answer of each client, as they should be remembered.
type Clients = BTreeMap<String, (u64, Answer)>;

/// What the clients' memory asks of an answer; true when the command must have run.
fn check_answer(clients: &mut Clients, envelope: &Envelope, answer: &Answer) -> bool {
    let Some(origin) = &envelope.origin else {
        return true;
    };
    match clients.get(&origin.client_id) {
        Some((newest, first)) if *newest == origin.sequence => {
            assert_eq!(answer, first, "repeated {origin:?}");
            false
        }
        Some((newest, _)) if *newest > origin.sequence => {
            let stale = Refusal::StaleSequence {
                client_id: origin.client_id.clone(),
                given: origin.sequence,
                newest: *newest,
            };
            assert_eq!(answer, &Err(stale));
            false
        }
        Some(_) | None => {
            let newest = (origin.sequence, answer.clone());
            clients.insert(origin.client_id.clone(), newest);
            true
        }
    }
}

/// Every placement gives larger incarnations than any before.
fn check_incarnations(newest: &mut Incarnation, answer: &Answer) {
    if let Ok(Outcome::Placed(workers)) = answer {
        for worker in workers {
            assert!(worker.incarnation > *newest, "{worker} after {newest}");
            *newest = worker.incarnation;
        }
    }
}

/// A history that happened: the log, and the state at its end.
fn happen(history: Vec<(Try, Option<(u8, u64)>)>) -> (Vec<Envelope>, Cluster) {
    let mut cluster = Cluster::default();
    let (mut log, mut clients, mut newest) = (Vec::new(), Clients::new(), Incarnation(0));
    for (attempt, origin) in history {
        let Some(command) = command(&cluster, attempt) else {
            continue;
        };
        let envelope = match origin {
            Some((client, sequence)) => command.from_client(format!("c{client}"), sequence),
            None => command.into(),
        };
        log.push(envelope.clone());
        let before = cluster.clone();
        let answer = cluster.apply(envelope.clone());
        let ran = check_answer(&mut clients, &envelope, &answer);
        if ran {
            check_incarnations(&mut newest, &answer);
        }
        if answer.is_err() || !ran {
            assert!(before.jobs().eq(cluster.jobs()) && before.nodes().eq(cluster.nodes()));
        }
        check_invariants(&before, &cluster);
    }
    (log, cluster)
}

fn bytes(cluster: &Cluster) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::write_snapshot(cluster, &mut bytes).unwrap();
    bytes
}

/// Applies what others would read from their log.
fn replay(mut replica: Cluster, log: &[Envelope]) -> Cluster {
    for envelope in log {
        let kept = codec::encode_command(envelope).unwrap();
        let _ = replica.apply(codec::decode_command(&kept).unwrap());
    }
    replica
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, rng_seed: RngSeed::Fixed(2), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_histories_keep_the_invariants_and_replay_to_the_same_bytes_from_the_log_and_from_any_snapshot(
        history in prop::collection::vec((tries(), origins()), 1..80), snapshot_at in any::<prop::sample::Index>()
    ) {
        let (log, cluster) = happen(history);
        let expected = bytes(&cluster);
        let replica = replay(Cluster::default(), &log);
        prop_assert_eq!(&replica, &cluster);
        prop_assert!(bytes(&replica) == expected, "two replicas have different bytes");

        let (before, after) = log.split_at(snapshot_at.index(log.len() + 1));
        let snapshot = bytes(&replay(Cluster::default(), before));
        let restored = codec::read_snapshot(&snapshot[..]).unwrap();
        prop_assert!(bytes(&restored) == snapshot, "a snapshot that was read is written differently");
        let restored = replay(restored, after);
        prop_assert_eq!(&restored, &cluster);
        prop_assert!(bytes(&restored) == expected, "snapshot and rest of the log lead elsewhere");
        restored.check_orders();
    }
}
