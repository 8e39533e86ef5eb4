//! One refusal of each case.

use convoy_common::ids::{
    Generation, Incarnation, Rank, ReplicaId, ShardIndex, SlotIndex, StepIndex, WorkerId,
};
use convoy_common::spec::WorkersRefused;

use super::super::fixtures::*;
use crate::Refusal;
use crate::job::PhaseName;
use crate::text::Text;
use crate::version::ClusterVersion;

/// One refusal of each case.
pub(super) fn all() -> Vec<Refusal> {
    [
        of_jobs(),
        of_the_cluster(),
        of_nodes_and_workers(),
        of_generations(),
        of_results(),
    ]
    .concat()
}

fn of_jobs() -> Vec<Refusal> {
    let job = job("digits-1");
    let why = WorkersRefused::MoreThanShards {
        workers: 5,
        data_shards: 4,
    };
    vec![
        Refusal::UnknownJob { job: job.clone() },
        Refusal::InvalidName {
            name: "?".to_owned(),
        },
        Refusal::Workers {
            name: "digits".to_owned(),
            why,
        },
        Refusal::StaleSequence {
            client_id: "cli".to_owned(),
            given: 1,
            newest: 2,
        },
        Refusal::TooManyOpenJobs { open: 1_000 },
        Refusal::JobOver {
            job: job.clone(),
            phase: PhaseName::Finished,
        },
        Refusal::WrongPhase {
            job: job.clone(),
            phase: PhaseName::Forming,
            wanted: PhaseName::Training,
        },
        Refusal::TextLength {
            what: Text::AnnotationKey,
            bytes: 0,
            least: 1,
            most: 128,
        },
        Refusal::TooManyAnnotations {
            job: job.clone(),
            annotations: 64,
        },
        Refusal::NotTheLastCheckpoint {
            job: job.clone(),
            given: StepIndex(10),
            last: Some(StepIndex(30)),
        },
        Refusal::ManifestMissing {
            job: job.clone(),
            step: StepIndex(30),
        },
        Refusal::NotTheLastEvaluation {
            job,
            given: None,
            last: Some(StepIndex(30)),
        },
    ]
}

fn of_the_cluster() -> Vec<Refusal> {
    let [zero, one, two] = [0, 1, 2].map(ClusterVersion);
    let replica = ReplicaId(3);
    vec![
        Refusal::ClusterVersionNeeded {
            needed: two,
            committed: one,
        },
        Refusal::ClusterVersionLower {
            given: zero,
            committed: one,
        },
        Refusal::ClusterVersionUnknown {
            given: two,
            known: one,
        },
        Refusal::ReplicaTooOld {
            replica,
            build: "convoy 0.1".to_owned(),
            supports: one,
            needed: two,
        },
        Refusal::TooManyReplicas {
            replica,
            replicas: 16,
        },
        Refusal::TooManyNodes {
            node: node("a"),
            nodes: 20_000,
        },
    ]
}

fn of_nodes_and_workers() -> Vec<Refusal> {
    let (job, node, slot) = (job("digits-1"), node("a"), SlotIndex(1));
    let worker = worker(&job, 0, 1);
    vec![
        Refusal::UnknownNode { node: node.clone() },
        Refusal::UnknownWorker {
            job: job.clone(),
            worker: WorkerId(7),
            workers: 2,
        },
        Refusal::TooManyLabels {
            node: node.clone(),
            labels: 33,
        },
        Refusal::SlotsOutOfRange {
            node: node.clone(),
            slots: 0,
            most: 256,
        },
        Refusal::AgentReplaced {
            node: node.clone(),
            given: 1,
            current: 9,
        },
        Refusal::NodeIsLost {
            node: node.clone(),
            reason: "silent".to_owned(),
        },
        Refusal::WrongSlotCount {
            job,
            given: 1,
            wanted: 2,
        },
        Refusal::NoSuchSlot {
            node: node.clone(),
            slot,
            slots: 1,
        },
        Refusal::SlotTaken {
            node: node.clone(),
            slot,
            holder: worker.clone(),
        },
        Refusal::SlotNamedTwice {
            node: node.clone(),
            slot,
        },
        Refusal::StaleIncarnation {
            given: worker.clone(),
            current: Incarnation(4),
        },
        Refusal::WorkerHasEnded {
            worker: worker.clone(),
            how: "exit code 1".to_owned(),
        },
        Refusal::OnAnotherNode {
            worker,
            given: node.clone(),
            current: node,
        },
    ]
}

fn of_generations() -> Vec<Refusal> {
    let job = job("digits-1");
    let (worker, generation, other) = (worker(&job, 0, 1), Generation(1), dataset());
    let [first, second] = [1, 2].map(attempt);
    vec![
        Refusal::StaleGeneration {
            job: job.clone(),
            given: Generation(0),
            current: generation,
        },
        Refusal::WrongAttempt {
            job: job.clone(),
            generation,
            given: first,
            formed: second,
        },
        Refusal::NotAMember {
            worker: worker.clone(),
            generation,
        },
        Refusal::StaleAttempt {
            job: job.clone(),
            given: first,
            newest: second,
        },
        Refusal::WrongMemberCount {
            job: job.clone(),
            given: 1,
            wanted: 2,
        },
        Refusal::RanksOutOfOrder {
            worker: worker.clone(),
            place: 1,
            rank: Rank(0),
        },
        Refusal::MemberNamedTwice { worker },
        Refusal::ShardsDoNotTile {
            shard: ShardIndex(2),
            data_shards: 4,
            owners: 2,
        },
        Refusal::StartBeforeParent {
            job: job.clone(),
            given: StepIndex(9),
            parent_start: StepIndex(10),
        },
        Refusal::DatasetDiffers {
            job: job.clone(),
            given: other.clone(),
            pinned: other,
        },
        Refusal::NotStarted { job, generation },
    ]
}

fn of_results() -> Vec<Refusal> {
    let (step, generation, rank) = (StepIndex(10), Generation(1), Rank(0));
    let [one, other] = [5, 6].map(digest);
    vec![
        Refusal::EvaluationIncomplete {
            step,
            given: 99,
            expected: 100,
        },
        Refusal::EvaluationImpossible {
            step,
            correct: 101,
            samples: 100,
        },
        Refusal::EvaluationDiffers {
            step,
            given: 51,
            recorded: 50,
        },
        Refusal::EvaluationTooLate {
            given: StepIndex(9),
            newest: step,
        },
        Refusal::CheckpointOutside {
            step,
            generation,
            start: StepIndex(0),
            end: Some(StepIndex(9)),
        },
        Refusal::SlicesIncomplete {
            step,
            generation,
            given: 1,
            members: 2,
            rank,
            slices: 0,
        },
        Refusal::WeightsDiffer {
            step,
            first: rank,
            first_digest: one.clone(),
            other: Rank(1),
            other_digest: other.clone(),
        },
        Refusal::CheckpointDiffers {
            step,
            given: other,
            committed: one,
        },
        Refusal::UnknownCheckpoint {
            generation,
            step,
            newest: None,
        },
    ]
}
