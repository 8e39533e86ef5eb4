//! What a running generation brings: progress, evaluations, checkpoints.

use convoy_common::ids::{Generation, JobId, Rank, StepIndex};

use super::Cluster;
use crate::command::Outcome;
use crate::job::Job;
use crate::limits::{MAX_CHECKPOINTS, MAX_EVALUATIONS};
use crate::records::{Checkpoint, CheckpointKey, Digest, Evaluation, Progress, SliceReport};
use crate::refusal::Refusal;

impl Cluster {
    pub(super) fn record_progress(
        &mut self,
        id: &JobId,
        generation: Generation,
        progress: Progress,
    ) -> Result<Outcome, Refusal> {
        let job = self.started_job_mut(id, generation)?;
        job.progress = Some(progress);
        Ok(Outcome::Done)
    }

    pub(super) fn record_evaluation(
        &mut self,
        id: &JobId,
        generation: Generation,
        evaluation: Evaluation,
    ) -> Result<Outcome, Refusal> {
        let job = self.started_job_mut(id, generation)?;
        let Evaluation {
            step,
            samples,
            correct,
            ..
        } = evaluation;
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
        if let Some(first) = job
            .evaluations
            .iter()
            .rev()
            .find(|first| first.step == step)
        {
            let recorded = first.correct;
            if recorded != correct {
                return Err(Refusal::EvaluationDiffers {
                    step,
                    given: correct,
                    recorded,
                });
            }
            return Ok(Outcome::Unchanged);
        }
        if let Some(newest) = job.evaluations.last().filter(|newest| newest.step > step) {
            return Err(Refusal::EvaluationTooLate {
                given: step,
                newest: newest.step,
            });
        }
        job.evaluations.push(evaluation);
        if job.evaluations.len() > MAX_EVALUATIONS {
            job.evaluations.remove(0);
        }
        Ok(Outcome::Done)
    }

    /// Evaluations and progress are accepted from the newest started generation only.
    fn started_job_mut(&mut self, id: &JobId, given: Generation) -> Result<&mut Job, Refusal> {
        let job = self.training_job_mut(id)?;
        let current = job.current_generation();
        let started = job
            .generations
            .iter()
            .rev()
            .find(|generation| generation.started);
        match started.map(|newest| newest.number) {
            Some(newest) if newest == given => Ok(job),
            Some(newest) if given < newest => Err(Refusal::StaleGeneration {
                job: id.clone(),
                given,
                current: newest,
            }),
            Some(_) | None if given <= current => Err(Refusal::NotStarted {
                job: id.clone(),
                generation: given,
            }),
            Some(_) | None => Err(Refusal::StaleGeneration {
                job: id.clone(),
                given,
                current,
            }),
        }
    }

    /// A checkpoint after k steps belongs to the generation that ran step k-1, which need not be the current one: slow
    /// checkpoints would starve under churn otherwise.
    pub(super) fn commit_checkpoint(
        &mut self,
        id: &JobId,
        key: CheckpointKey,
        slices: Vec<SliceReport>,
    ) -> Result<Outcome, Refusal> {
        let job = self.training_job_mut(id)?;
        let members = check_origin(job, &key)?;
        let weights_sha256 = check_slices(&key, &slices, members)?;
        let step = key.step;
        if let Some(committed) = job.checkpoints.iter().find(|other| other.key.step == step) {
            if committed.weights_sha256 != weights_sha256 {
                let committed = committed.weights_sha256.clone();
                return Err(Refusal::CheckpointDiffers {
                    step,
                    given: weights_sha256,
                    committed,
                });
            }
            return Ok(Outcome::Unchanged);
        }
        let mut slices: Vec<_> = slices.into_iter().map(|report| report.slice).collect();
        slices.sort_by_key(|slice| slice.rank);
        job.checkpoints.push(Checkpoint {
            key,
            slices,
            weights_sha256,
            manifest_written: false,
        });
        job.checkpoints
            .sort_by_key(|checkpoint| checkpoint.key.step);
        if job.checkpoints.len() > MAX_CHECKPOINTS {
            job.checkpoints.remove(0);
        }
        Ok(Outcome::Done)
    }

    pub(super) fn manifest_written(
        &mut self,
        id: &JobId,
        generation: Generation,
        step: StepIndex,
    ) -> Result<Outcome, Refusal> {
        let job = self.training_job_mut(id)?;
        let newest = job.checkpoints.last().map(|checkpoint| checkpoint.key.step);
        let named = job.checkpoints.iter_mut().find(|checkpoint| {
            checkpoint.key.step == step && checkpoint.key.generation == generation
        });
        match named {
            None => Err(Refusal::UnknownCheckpoint {
                generation,
                step,
                newest,
            }),
            Some(checkpoint) if checkpoint.manifest_written => Ok(Outcome::Unchanged),
            Some(checkpoint) => {
                checkpoint.manifest_written = true;
                Ok(Outcome::Done)
            }
        }
    }
}

/// Start < step <= reach of the generation, by the attempt that formed it. Returns the number of its members.
fn check_origin(job: &Job, key: &CheckpointKey) -> Result<usize, Refusal> {
    let number = key.generation;
    let Some(generation) = job.generations.iter().find(|other| other.number == number) else {
        let (given, current) = (number, job.current_generation());
        return Err(Refusal::StaleGeneration {
            job: job.id.clone(),
            given,
            current,
        });
    };
    if generation.attempt != key.attempt {
        let (given, formed) = (key.attempt, generation.attempt);
        return Err(Refusal::CheckpointOfOtherAttempt {
            generation: number,
            given,
            formed,
        });
    }
    let later = job.generations.iter().filter(|other| other.number > number);
    let end = later.map(|other| other.start).min();
    let (step, start) = (key.step, generation.start);
    if step <= start || end.is_some_and(|end| step > end) {
        return Err(Refusal::CheckpointOutside {
            step,
            generation: number,
            start,
            end,
        });
    }
    Ok(generation.members.len())
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
