//! Jobs come and go: submission, notes, cancellation, the end.

use std::collections::BTreeMap;

use convoy_common::ids::{Generation, JobId, StepIndex};

use super::Cluster;
use crate::command::{Answer, Outcome};
use crate::job::{Job, JobPhase};
use crate::limits::{MAX_ANNOTATIONS, MAX_ENDED_JOBS, MAX_OPEN_JOBS};
use crate::refusal::Refusal;
use crate::spec::StoredSpec;
use crate::text::{Text, cut_reason};

impl Cluster {
    pub(super) fn submit_job(&mut self, spec: StoredSpec, workers: u32) -> Answer {
        if let Err(why) = spec.bounds().check(workers) {
            let name = spec.name().to_owned();
            return Err(Refusal::Workers { name, why });
        }
        let open = self.jobs.open_len();
        if open >= MAX_OPEN_JOBS {
            return Err(Refusal::TooManyOpenJobs { open });
        }
        let number = self.newest_job + 1;
        let Ok(id) = JobId::try_from(format!("{}-{number}", spec.name())) else {
            let name = spec.name().to_owned();
            return Err(Refusal::InvalidName { name });
        };
        self.newest_job = number;
        self.jobs.insert(new_job(id.clone(), number, spec, workers));
        if self.jobs.len() - self.jobs.open_len() > MAX_ENDED_JOBS {
            self.jobs.forget_oldest_ended();
        }
        Ok(Outcome::Submitted(id))
    }

    pub(super) fn annotate_job(
        &mut self,
        id: &JobId,
        key: String,
        value: Option<String>,
    ) -> Answer {
        Text::AnnotationKey.check(&key)?;
        let known = &self.known_job(id)?.annotations;
        if known.get(&key) == value.as_ref() {
            return Ok(Outcome::Unchanged);
        }
        let Some(value) = value else {
            self.changed_job(id)?.annotations.remove(&key);
            return Ok(Outcome::Done);
        };
        Text::AnnotationValue.check(&value)?;
        let annotations = known.len();
        if annotations >= MAX_ANNOTATIONS && !known.contains_key(&key) {
            return Err(Refusal::TooManyAnnotations {
                job: id.clone(),
                annotations,
            });
        }
        self.changed_job(id)?.annotations.insert(key, value);
        Ok(Outcome::Done)
    }

    pub(super) fn cancel_job(&mut self, id: &JobId, reason: String) -> Answer {
        if let JobPhase::Cancelled { .. } = self.known_job(id)?.phase {
            return Ok(Outcome::Unchanged);
        }
        self.open_job(id)?;
        let reason = cut_reason(reason);
        self.jobs.set_phase(id, JobPhase::Cancelled { reason });
        Ok(Outcome::Done)
    }

    pub(super) fn fail_job(&mut self, id: &JobId, reason: String) -> Answer {
        self.open_job(id)?;
        let reason = cut_reason(reason);
        self.jobs.set_phase(id, JobPhase::Failed { reason });
        Ok(Outcome::Done)
    }

    pub(super) fn finish_job(
        &mut self,
        id: &JobId,
        generation: Generation,
        evaluation: Option<StepIndex>,
        checkpoint: StepIndex,
    ) -> Answer {
        let job = self.training_job(id)?;
        let current = job.newest_started().map(|newest| newest.number);
        if current != Some(generation) {
            return Err(Refusal::StaleGeneration {
                job: id.clone(),
                given: generation,
                current: current.unwrap_or_default(),
            });
        }
        let last = job.last_checkpoint();
        if last.is_none_or(|last| last.key.step != checkpoint) {
            let last = last.map(|last| last.key.step);
            return Err(Refusal::NotTheLastCheckpoint {
                job: id.clone(),
                given: checkpoint,
                last,
            });
        }
        if last.is_some_and(|last| !last.manifest_written) {
            return Err(Refusal::ManifestMissing {
                job: id.clone(),
                step: checkpoint,
            });
        }
        let last = job.evaluations.last().map(|evaluation| evaluation.step);
        if last != evaluation {
            return Err(Refusal::NotTheLastEvaluation {
                job: id.clone(),
                given: evaluation,
                last,
            });
        }
        let phase = JobPhase::Finished {
            evaluation,
            checkpoint,
        };
        self.jobs.set_phase(id, phase);
        Ok(Outcome::Done)
    }
}

fn new_job(id: JobId, number: u64, spec: StoredSpec, wanted: u32) -> Job {
    Job {
        id,
        number,
        spec,
        wanted,
        phase: JobPhase::Waiting,
        workers: BTreeMap::new(),
        generations: Vec::new(),
        dataset: None,
        build: None,
        progress: None,
        evaluations: Vec::new(),
        checkpoints: Vec::new(),
        annotations: BTreeMap::new(),
    }
}
