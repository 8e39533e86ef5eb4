//! What a running generation brings: progress, evaluations, checkpoints.

use convoy_common::ids::{Rank, StepIndex, WorkerRef};

use super::Cluster;
use crate::command::{Answer, Fence, Outcome};
use crate::job::Job;
use crate::limits::{MAX_CHECKPOINTS, MAX_EVALUATIONS};
use crate::records::{
    Checkpoint, CheckpointKey, Digest, Evaluation, GenerationRecord, Progress, SliceReport,
};
use crate::refusal::Refusal;

impl Cluster {
    pub(super) fn record_progress(&mut self, by: &Fence, progress: Progress) -> Answer {
        self.fenced_newest(by)?;
        self.changed_job(&by.worker.job)?.progress = Some(progress);
        Ok(Outcome::Done)
    }

    pub(super) fn record_evaluation(&mut self, by: &Fence, evaluation: Evaluation) -> Answer {
        let job = self.fenced_newest(by)?;
        if is_recorded(job, &evaluation)? {
            return Ok(Outcome::Unchanged);
        }
        let evaluations = &mut self.changed_job(&by.worker.job)?.evaluations;
        evaluations.push(evaluation);
        if evaluations.len() > MAX_EVALUATIONS {
            evaluations.remove(0);
        }
        Ok(Outcome::Done)
    }

    /// A checkpoint after k steps belongs to the generation that ran step k-1, which need not be the current one: slow
    /// checkpoints would starve under churn otherwise.
    pub(super) fn commit_checkpoint(
        &mut self,
        worker: WorkerRef,
        key: CheckpointKey,
        slices: Vec<SliceReport>,
    ) -> Answer {
        let by = Fence {
            worker,
            generation: key.generation,
            attempt: key.attempt,
        };
        let (job, generation) = self.fenced(&by)?;
        check_reach(job, generation, key.step)?;
        let weights_sha256 = check_slices(&key, &slices, generation.members.len())?;
        let mut committed = job.checkpoints.iter();
        if let Some(committed) = committed.find(|other| other.key.step == key.step) {
            if committed.weights_sha256 != weights_sha256 {
                return Err(Refusal::CheckpointDiffers {
                    step: key.step,
                    given: weights_sha256,
                    committed: committed.weights_sha256.clone(),
                });
            }
            return Ok(Outcome::Unchanged);
        }
        let mut slices: Vec<_> = slices.into_iter().map(|report| report.slice).collect();
        slices.sort_by_key(|slice| slice.rank);
        let checkpoints = &mut self.changed_job(&by.worker.job)?.checkpoints;
        checkpoints.push(Checkpoint {
            key,
            slices,
            weights_sha256,
            manifest_written: false,
        });
        checkpoints.sort_by_key(|checkpoint| checkpoint.key.step);
        if checkpoints.len() > MAX_CHECKPOINTS {
            checkpoints.remove(0);
        }
        Ok(Outcome::Done)
    }

    pub(super) fn manifest_written(&mut self, by: &Fence, step: StepIndex) -> Answer {
        let (job, generation) = self.fenced(by)?;
        let number = generation.number;
        let newest = job.checkpoints.last().map(|checkpoint| checkpoint.key.step);
        let mut checkpoints = job.checkpoints.iter();
        let place = checkpoints.position(|checkpoint| {
            checkpoint.key.step == step && checkpoint.key.generation == number
        });
        let Some(place) = place else {
            return Err(Refusal::UnknownCheckpoint {
                generation: number,
                step,
                newest,
            });
        };
        let written = |checkpoint: &Checkpoint| checkpoint.manifest_written;
        if job.checkpoints.get(place).is_some_and(written) {
            return Ok(Outcome::Unchanged);
        }
        let checkpoints = &mut self.changed_job(&by.worker.job)?.checkpoints;
        if let Some(checkpoint) = checkpoints.get_mut(place) {
            checkpoint.manifest_written = true;
        }
        Ok(Outcome::Done)
    }
}

/// Whether an evaluation with the same counts is there already; it covers the whole test split and is the newest.
fn is_recorded(job: &Job, evaluation: &Evaluation) -> Result<bool, Refusal> {
    let Evaluation {
        step,
        samples,
        correct,
        ..
    } = *evaluation;
    let expected = job
        .dataset
        .as_ref()
        .map_or(samples, |dataset| dataset.test_samples);
    if samples != expected {
        return Err(Refusal::EvaluationIncomplete {
            step,
            given: samples,
            expected,
        });
    }
    if correct > samples {
        return Err(Refusal::EvaluationImpossible {
            step,
            correct,
            samples,
        });
    }
    let mut newest_first = job.evaluations.iter().rev();
    if let Some(first) = newest_first.find(|first| first.step == step) {
        let recorded = first.correct;
        if recorded != correct {
            return Err(Refusal::EvaluationDiffers {
                step,
                given: correct,
                recorded,
            });
        }
        return Ok(true);
    }
    match job.evaluations.last() {
        Some(newest) if newest.step > step => Err(Refusal::EvaluationTooLate {
            given: step,
            newest: newest.step,
        }),
        Some(_) | None => Ok(false),
    }
}

/// Start < step <= reach of the generation.
fn check_reach(job: &Job, generation: &GenerationRecord, step: StepIndex) -> Result<(), Refusal> {
    let (number, start) = (generation.number, generation.start);
    let later = job.generations.iter().filter(|other| other.number > number);
    let end = later.map(|other| other.start).min();
    if step <= start || end.is_some_and(|end| step > end) {
        return Err(Refusal::CheckpointOutside {
            step,
            generation: number,
            start,
            end,
        });
    }
    Ok(())
}

/// Exactly one slice per rank, and all writers name the same weights. Returns their digest.
fn check_slices(
    key: &CheckpointKey,
    slices: &[SliceReport],
    members: usize,
) -> Result<Digest, Refusal> {
    let (step, generation) = (key.step, key.generation);
    let ranks = (0u32..).map(Rank).take(members);
    let beyond = slices.iter().map(|report| report.slice.rank);
    for rank in ranks.chain(beyond) {
        let of_rank = slices
            .iter()
            .filter(|report| report.slice.rank == rank)
            .count();
        if of_rank != 1 || rank.0 as usize >= members {
            let given = slices.len();
            return Err(Refusal::SlicesIncomplete {
                step,
                generation,
                given,
                members,
                rank,
                slices: of_rank,
            });
        }
    }
    let Some(first) = slices.first() else {
        let rank = Rank(0);
        return Err(Refusal::SlicesIncomplete {
            step,
            generation,
            given: 0,
            members,
            rank,
            slices: 0,
        });
    };
    match slices
        .iter()
        .find(|other| other.weights_sha256 != first.weights_sha256)
    {
        None => Ok(first.weights_sha256.clone()),
        Some(other) => Err(Refusal::WeightsDiffer {
            step,
            first: first.slice.rank,
            first_digest: first.weights_sha256.clone(),
            other: other.slice.rank,
            other_digest: other.weights_sha256.clone(),
        }),
    }
}
