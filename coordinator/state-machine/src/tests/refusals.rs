//! Every refusal, with what was given and what holds; a refused command changes nothing.

use convoy_common::ids::{
    Generation, Incarnation, Rank, ShardIndex, SlotIndex, StepIndex, WorkerId,
};

use super::fixtures::*;
use convoy_common::spec::WorkersRefused;

use crate::Refusal;
use crate::command::Command;
use crate::job::PhaseName;
use crate::records::{CheckpointKey, SliceReport};

#[test]
fn submissions_outside_the_elastic_bounds_are_refused() {
    let too_few = WorkersRefused::TooFew {
        workers: 0,
        min_workers: 1,
    };
    let too_many = WorkersRefused::MoreThanShards {
        workers: 5,
        data_shards: SHARDS,
    };
    for (workers, why) in [(0, too_few), (5, too_many)] {
        let refusal = Refusal::Workers {
            name: "digits".to_owned(),
            why,
        };
        Story::submitted().refused(submit(2, workers), &refusal);
    }
}

#[test]
fn unknown_names_are_refused() {
    let mut story = Story::placed();
    let unknown = Refusal::UnknownJob {
        job: job("other-9"),
    };
    story.refused(place(&job("other-9"), &[("a", 0)]), &unknown);
    story.refused(lose("z", 1), &Refusal::UnknownNode { node: node("z") });
    let ended = ended(worker(&story.id, 7, 1));
    let (id, worker) = (story.id.clone(), WorkerId(7));
    story.refused(
        ended,
        &Refusal::UnknownWorker {
            job: id,
            worker,
            workers: 2,
        },
    );
}

#[test]
fn placements_are_checked_again() {
    let mut story = Story::submitted();
    let id = story.id.clone();
    let wrong = Refusal::WrongSlotCount {
        job: id.clone(),
        given: 1,
        wanted: 2,
    };
    story.refused(place(&id, &[("a", 0)]), &wrong);
    let beyond = Refusal::NoSuchSlot {
        node: node("a"),
        slot: SlotIndex(2),
        slots: 2,
    };
    story.refused(place(&id, &[("a", 0), ("a", 2)]), &beyond);
    let twice = Refusal::SlotNamedTwice {
        node: node("a"),
        slot: SlotIndex(0),
    };
    story.refused(place(&id, &[("a", 0), ("a", 0)]), &twice);
    story.ok(submit(2, 1));
    story.ok(place(&job("digits-2"), &[("a", 1)]));
    let holder = worker(&job("digits-2"), 0, 1);
    let taken = Refusal::SlotTaken {
        node: node("a"),
        slot: SlotIndex(1),
        holder,
    };
    story.refused(place(&id, &[("a", 0), ("a", 1)]), &taken);
    story.ok(lose("a", 1));
    let reason = "silent".to_owned();
    let lost = Refusal::NodeIsLost {
        node: node("a"),
        reason,
    };
    story.refused(place(&id, &[("a", 0), ("a", 1)]), &lost);
}

#[test]
fn a_job_is_placed_once() {
    let mut story = Story::placed();
    let again = place(&story.id, &[("a", 0), ("a", 1)]);
    let (job, phase) = (story.id.clone(), PhaseName::Forming);
    story.refused(
        again,
        &Refusal::WrongPhase {
            job,
            phase,
            wanted: PhaseName::Waiting,
        },
    );
}

#[test]
fn nodes_offer_a_sensible_number_of_slots() {
    for slots in [0, 257] {
        let refusal = Refusal::SlotsOutOfRange {
            node: node("b"),
            slots,
            most: 256,
        };
        Story::submitted().refused(register("b", 1, slots), &refusal);
    }
}

#[test]
fn a_worker_that_ended_does_not_start_again() {
    let mut story = Story::placed();
    let dead = worker(&story.id, 0, 1);
    story.ok(ended(dead.clone()));
    let how = killed().how;
    story.refused(
        started(dead.clone()),
        &Refusal::WorkerHasEnded { worker: dead, how },
    );
}

#[test]
fn a_generation_is_a_compare_and_set_on_the_current_one() {
    let mut story = Story::placed();
    let first = formation(story.job(), 1, 0);
    story.ok(Command::FormGeneration(first.clone()));
    let (given, current) = (Generation(0), Generation(1));
    let stale = Refusal::StaleGeneration {
        job: story.id.clone(),
        given,
        current,
    };
    story.refused(Command::FormGeneration(first), &stale);
    let same_attempt = formation(story.job(), 1, 0);
    let (given, newest) = (attempt(1), attempt(1));
    let stale = Refusal::StaleAttempt {
        job: story.id.clone(),
        given,
        newest,
    };
    story.refused(Command::FormGeneration(same_attempt), &stale);
}

#[test]
fn members_of_a_generation_are_all_current_and_in_order() {
    let mut story = Story::placed();
    let good = formation(story.job(), 1, 0);
    let mut few = good.clone();
    few.members.pop();
    let wrong = Refusal::WrongMemberCount {
        job: story.id.clone(),
        given: 1,
        wanted: 2,
    };
    story.refused(Command::FormGeneration(few), &wrong);
    let mut older = good.clone();
    older.members[1].worker.incarnation = Incarnation(0);
    let given = older.members[1].worker.clone();
    let stale = Refusal::StaleIncarnation {
        given,
        current: Incarnation(2),
    };
    story.refused(Command::FormGeneration(older), &stale);
    let mut swapped = good.clone();
    swapped.members.swap(0, 1);
    let (worker, rank) = (swapped.members[0].worker.clone(), Rank(1));
    let order = Refusal::RanksOutOfOrder {
        worker,
        place: 0,
        rank,
    };
    story.refused(Command::FormGeneration(swapped), &order);
    let mut twice = good.clone();
    twice.members[1].worker = twice.members[0].worker.clone();
    let named = Refusal::MemberNamedTwice {
        worker: twice.members[0].worker.clone(),
    };
    story.refused(Command::FormGeneration(twice), &named);
    let dead = good.members[0].worker.clone();
    story.ok(ended(dead.clone()));
    let gone = Refusal::WorkerHasEnded {
        worker: dead,
        how: killed().how,
    };
    story.refused(Command::FormGeneration(good), &gone);
}

#[test]
fn shards_have_exactly_one_owner() {
    let mut story = Story::placed();
    let good = formation(story.job(), 1, 0);
    for (shards, shard, owners) in [
        (vec![0], 1, 0),
        (vec![0, 1, 2], 2, 2),
        (vec![0, 1, 9], 9, 1),
    ] {
        let mut bad = good.clone();
        bad.members[0].shards = shards.into_iter().map(ShardIndex).collect();
        let shard = ShardIndex(shard);
        let refusal = Refusal::ShardsDoNotTile {
            shard,
            data_shards: SHARDS,
            owners,
        };
        story.refused(Command::FormGeneration(bad), &refusal);
    }
}

#[test]
fn later_generations_keep_data_and_direction() {
    let mut story = Story::placed();
    story.ok(Command::FormGeneration(formation(story.job(), 1, 10)));
    let back = formation(story.job(), 2, 9);
    let (given, parent_start) = (StepIndex(9), StepIndex(10));
    let refusal = Refusal::StartBeforeParent {
        job: story.id.clone(),
        given,
        parent_start,
    };
    story.refused(Command::FormGeneration(back), &refusal);
    let mut other = formation(story.job(), 2, 10);
    other.dataset.test_samples = 1;
    let (given, pinned) = (other.dataset.clone(), dataset());
    let refusal = Refusal::DatasetDiffers {
        job: story.id.clone(),
        given,
        pinned,
    };
    story.refused(Command::FormGeneration(other), &refusal);
}

#[test]
fn evaluations_are_complete_and_the_first_one_wins() {
    let mut story = Story::training();
    let by = by(&story.id, 1);
    let record = |evaluation| Command::RecordEvaluation {
        by: by.clone(),
        evaluation,
    };
    let mut part = evaluation(10, 50);
    part.samples = 99;
    let step = StepIndex(10);
    let refusal = Refusal::EvaluationIncomplete {
        step,
        given: 99,
        expected: 100,
    };
    story.refused(record(part), &refusal);
    let refusal = Refusal::EvaluationImpossible {
        step,
        correct: 101,
        samples: 100,
    };
    story.refused(record(evaluation(10, 101)), &refusal);
    story.ok(record(evaluation(10, 50)));
    let refusal = Refusal::EvaluationDiffers {
        step,
        given: 51,
        recorded: 50,
    };
    story.refused(record(evaluation(10, 51)), &refusal);
    let refusal = Refusal::EvaluationTooLate {
        given: StepIndex(9),
        newest: step,
    };
    story.refused(record(evaluation(9, 51)), &refusal);
}

fn commit(story: &Story, key: CheckpointKey, slices: Vec<SliceReport>) -> Command {
    Command::CommitCheckpoint {
        worker: worker(&story.id, 0, 1),
        key,
        slices,
    }
}

#[test]
fn a_checkpoint_lies_within_its_generation() {
    let mut story = Story::training();
    let both = vec![slice(0, 5), slice(1, 5)];
    let generation = Generation(1);
    let outside = |step, end| Refusal::CheckpointOutside {
        step: StepIndex(step),
        generation,
        start: StepIndex(0),
        end,
    };
    story.refused(
        commit(&story, checkpoint(0, false), both.clone()),
        &outside(0, None),
    );
    story.ok(Command::FormGeneration(formation(story.job(), 2, 10)));
    story.ok(commit(&story, checkpoint(10, false), both.clone()));
    let refusal = outside(11, Some(StepIndex(10)));
    story.refused(commit(&story, checkpoint(11, false), both), &refusal);
}

#[test]
fn a_checkpoint_has_one_slice_per_rank_and_one_digest() {
    let mut story = Story::training();
    let (step, generation) = (StepIndex(10), Generation(1));
    let incomplete = |given, rank, slices| Refusal::SlicesIncomplete {
        step,
        generation,
        given,
        members: 2,
        rank: Rank(rank),
        slices,
    };
    let key = || checkpoint(10, false);
    story.refused(
        commit(&story, key(), vec![slice(0, 5)]),
        &incomplete(1, 1, 0),
    );
    let twice = vec![slice(0, 5), slice(1, 5), slice(0, 5)];
    story.refused(commit(&story, key(), twice), &incomplete(3, 0, 2));
    let beyond = vec![slice(0, 5), slice(1, 5), slice(2, 5)];
    story.refused(commit(&story, key(), beyond), &incomplete(3, 2, 1));
    let refusal = Refusal::WeightsDiffer {
        step,
        first: Rank(0),
        first_digest: digest(5),
        other: Rank(1),
        other_digest: digest(6),
    };
    story.refused(
        commit(&story, key(), vec![slice(0, 5), slice(1, 6)]),
        &refusal,
    );
    story.ok(commit(&story, key(), vec![slice(0, 5), slice(1, 5)]));
    let refusal = Refusal::CheckpointDiffers {
        step,
        given: digest(6),
        committed: digest(5),
    };
    story.refused(
        commit(&story, key(), vec![slice(0, 6), slice(1, 6)]),
        &refusal,
    );
    let unknown = StepIndex(9);
    let written = Command::ManifestWritten {
        by: by(&story.id, 1),
        step: unknown,
    };
    let refusal = Refusal::UnknownCheckpoint {
        generation,
        step: unknown,
        newest: Some(step),
    };
    story.refused(written, &refusal);
}

#[test]
fn a_job_finishes_with_its_last_evaluation_and_final_checkpoint() {
    let mut story = Story::training();
    let (job, generation, step) = (story.id.clone(), Generation(1), StepIndex(30));
    let both = vec![slice(0, 5), slice(1, 5)];
    let finish = |evaluation| Command::FinishJob {
        job: job.clone(),
        generation,
        evaluation,
        checkpoint: step,
    };
    let refusal = Refusal::NotTheLastCheckpoint {
        job: job.clone(),
        given: step,
        last: None,
    };
    story.refused(finish(None), &refusal);
    story.ok(commit(&story, checkpoint(30, true), both));
    let by = by(&job, 1);
    story.ok(Command::ManifestWritten { by, step });
    let refusal = Refusal::NotTheLastEvaluation {
        job: job.clone(),
        given: Some(step),
        last: None,
    };
    story.refused(finish(Some(step)), &refusal);
    story.ok(finish(None));
}

#[test]
fn a_job_that_is_over_takes_no_command() {
    let mut story = Story::training();
    let job = story.id.clone();
    let late = Command::FormGeneration(formation(story.job(), 2, 0));
    let reason = "disk full".to_owned();
    story.ok(Command::FailJob {
        job: job.clone(),
        reason: reason.clone(),
    });
    let over = Refusal::JobOver {
        job: job.clone(),
        phase: PhaseName::Failed,
    };
    let (by, step, reason) = (|| by(&job, 1), StepIndex(1), String::new());
    let commands = [
        late,
        Command::CancelJob {
            job: job.clone(),
            reason: reason.clone(),
        },
        Command::FailJob {
            job: job.clone(),
            reason,
        },
        Command::GenerationStarted { by: by() },
        Command::RecordProgress {
            by: by(),
            progress: progress(1),
        },
        Command::RecordEvaluation {
            by: by(),
            evaluation: evaluation(1, 1),
        },
        commit(&story, checkpoint(1, false), vec![slice(0, 5), slice(1, 5)]),
        Command::ManifestWritten { by: by(), step },
        Command::FinishJob {
            job: job.clone(),
            generation: Generation(1),
            evaluation: None,
            checkpoint: step,
        },
    ];
    for command in commands {
        story.refused(command, &over);
    }
}
