//! Jobs come and go: submission, cancellation, the end.

use std::collections::BTreeMap;

use convoy_common::ids::{JobId, StepIndex};
use convoy_common::spec::JobSpec;

use super::{ClientRecord, Cluster};
use crate::command::Outcome;
use crate::job::{Job, JobPhase};
use crate::limits::{MAX_CLIENTS, MAX_OPEN_JOBS};
use crate::refusal::Refusal;

impl Cluster {
    pub(super) fn submit_job(
        &mut self,
        client_id: String,
        sequence: u64,
        spec: JobSpec,
        workers: u32,
    ) -> Result<Outcome, Refusal> {
        if let Some(client) = self.clients.get_mut(&client_id) {
            if sequence == client.sequence {
                client.last_heard = self.applied;
                return Ok(Outcome::Submitted(client.job.clone()));
            }
            if sequence < client.sequence {
                let newest = client.sequence;
                return Err(Refusal::StaleSequence {
                    client_id,
                    given: sequence,
                    newest,
                });
            }
        }
        if let Err(why) = spec.check_workers(workers) {
            return Err(Refusal::Workers {
                name: spec.name,
                why,
            });
        }
        let open = self
            .jobs
            .values()
            .filter(|job| !job.phase.is_over())
            .count();
        if open >= MAX_OPEN_JOBS {
            return Err(Refusal::TooManyOpenJobs { open });
        }
        let number = self.newest_job + 1;
        let Ok(id) = JobId::try_from(format!("{}-{number}", spec.name)) else {
            return Err(Refusal::InvalidName { name: spec.name });
        };
        self.newest_job = number;
        self.jobs
            .insert(id.clone(), new_job(id.clone(), number, spec, workers));
        self.remember_client(client_id, sequence, id.clone());
        Ok(Outcome::Submitted(id))
    }

    fn remember_client(&mut self, client_id: String, sequence: u64, job: JobId) {
        let record = ClientRecord {
            sequence,
            job,
            last_heard: self.applied,
        };
        self.clients.insert(client_id, record);
        if self.clients.len() > MAX_CLIENTS {
            let quietest = self
                .clients
                .iter()
                .min_by_key(|(_, client)| client.last_heard);
            if let Some(id) = quietest.map(|(id, _)| id.clone()) {
                self.clients.remove(&id);
            }
        }
    }

    pub(super) fn cancel_job(&mut self, id: &JobId, reason: String) -> Result<Outcome, Refusal> {
        if let JobPhase::Cancelled { .. } = self.known_job(id)?.phase {
            return Ok(Outcome::Unchanged);
        }
        self.open_job_mut(id)?.phase = JobPhase::Cancelled { reason };
        Ok(Outcome::Done)
    }

    pub(super) fn fail_job(&mut self, id: &JobId, reason: String) -> Result<Outcome, Refusal> {
        self.open_job_mut(id)?.phase = JobPhase::Failed { reason };
        Ok(Outcome::Done)
    }

    pub(super) fn finish_job(
        &mut self,
        id: &JobId,
        evaluation: Option<StepIndex>,
        checkpoint: StepIndex,
    ) -> Result<Outcome, Refusal> {
        let job = self.training_job_mut(id)?;
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
        job.phase = JobPhase::Finished {
            evaluation,
            checkpoint,
        };
        Ok(Outcome::Done)
    }
}

fn new_job(id: JobId, number: u64, spec: JobSpec, wanted: u32) -> Job {
    Job {
        id,
        number,
        spec,
        wanted,
        phase: JobPhase::Waiting,
        workers: BTreeMap::new(),
        generations: Vec::new(),
        dataset: None,
        progress: None,
        evaluations: Vec::new(),
        checkpoints: Vec::new(),
    }
}
