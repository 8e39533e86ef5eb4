//! The replicated state: jobs, nodes, generations, checkpoints. Changed by [`Cluster::apply`] alone.

mod generations;
mod jobs;
mod nodes;
mod results;
mod workers;

use std::collections::BTreeMap;

use convoy_common::ids::{Incarnation, JobId, NodeId, SlotIndex, WorkerRef};
use serde::{Deserialize, Serialize};

use crate::command::{Command, Outcome};
use crate::job::{AssignedWorker, Job};
use crate::node::Node;
use crate::refusal::Refusal;

/// The replicated state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// Counts the commands that were applied, refused ones too.
    applied: u64,
    /// The incarnation given out last.
    newest_incarnation: Incarnation,
    /// The number of the newest job.
    newest_job: u64,
    clients: BTreeMap<String, ClientRecord>,
    nodes: BTreeMap<NodeId, Node>,
    jobs: BTreeMap<JobId, Job>,
}

/// The last submission of a client, so that a retried one runs once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ClientRecord {
    sequence: u64,
    job: JobId,
    /// Value of `Cluster::applied` when the client was last heard.
    last_heard: u64,
}

impl Cluster {
    /// An empty state whose first job gets this number: for a cluster that lives as long as one command, so that the ids of later
    /// commands' jobs differ.
    #[must_use]
    pub fn with_first_job(number: u64) -> Self {
        Self {
            newest_job: number.saturating_sub(1),
            ..Self::default()
        }
    }

    /// Applies one committed command: all of it, or nothing when it is refused.
    ///
    /// # Errors
    /// Why the command does not hold in this state, with what was given and what holds.
    pub fn apply(&mut self, command: Command) -> Result<Outcome, Refusal> {
        self.applied += 1;
        match command {
            Command::SubmitJob {
                client_id,
                sequence,
                spec,
                workers,
            } => self.submit_job(client_id, sequence, *spec, workers),
            Command::CancelJob { job, reason } => self.cancel_job(&job, reason),
            Command::RegisterNode {
                node,
                incarnation,
                slots,
                advertised_host,
            } => self.register_node(node, incarnation, slots, advertised_host),
            Command::NodeLost {
                node,
                incarnation,
                reason,
            } => self.node_lost(&node, incarnation, reason),
            Command::PlaceWorkers { job, slots } => self.place_workers(&job, &slots),
            Command::WorkerStarted {
                worker,
                pid,
                log_path,
            } => self.worker_started(&worker, pid, log_path),
            Command::WorkerEnded { worker, obituary } => self.worker_ended(&worker, obituary),
            Command::FormGeneration(formation) => self.form_generation(formation),
            Command::GenerationStarted { job, generation } => {
                self.generation_started(&job, generation)
            }
            Command::RecordProgress {
                job,
                generation,
                progress,
            } => self.record_progress(&job, generation, progress),
            Command::RecordEvaluation {
                job,
                generation,
                evaluation,
            } => self.record_evaluation(&job, generation, evaluation),
            Command::CommitCheckpoint { job, key, slices } => {
                self.commit_checkpoint(&job, key, slices)
            }
            Command::ManifestWritten {
                job,
                generation,
                step,
            } => self.manifest_written(&job, generation, step),
            Command::FinishJob {
                job,
                evaluation,
                checkpoint,
            } => self.finish_job(&job, evaluation, checkpoint),
            Command::FailJob { job, reason } => self.fail_job(&job, reason),
        }
    }

    /// All jobs by id.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values()
    }

    /// The job with this id.
    #[must_use]
    pub fn job(&self, id: &JobId) -> Option<&Job> {
        self.jobs.get(id)
    }

    /// All nodes by id, lost ones too.
    pub fn nodes(&self) -> impl Iterator<Item = (&NodeId, &Node)> {
        self.nodes.iter()
    }

    /// The node with this id.
    #[must_use]
    pub fn node(&self, id: &NodeId) -> Option<&Node> {
        self.nodes.get(id)
    }

    /// The workers that hold a slot, with their jobs.
    pub fn live_workers(&self) -> impl Iterator<Item = (WorkerRef, &AssignedWorker)> {
        self.jobs.values().flat_map(|job| {
            job.live_workers().filter_map(|worker| {
                let assigned = job.workers.get(&worker.worker)?;
                Some((worker, assigned))
            })
        })
    }

    /// Who holds which slot.
    #[must_use]
    pub fn slot_holders(&self) -> BTreeMap<(NodeId, SlotIndex), WorkerRef> {
        let live = self.live_workers();
        live.map(|(worker, assigned)| ((assigned.node.clone(), assigned.slot), worker))
            .collect()
    }

    /// The worker with exactly this life.
    ///
    /// # Errors
    /// If the job or worker is unknown or the incarnation is not the current one.
    pub fn current_worker(&self, worker: &WorkerRef) -> Result<(&Job, &AssignedWorker), Refusal> {
        let job = self.known_job(&worker.job)?;
        let assigned = job
            .workers
            .get(&worker.worker)
            .ok_or_else(|| Refusal::UnknownWorker {
                job: worker.job.clone(),
                worker: worker.worker,
                workers: job.workers.len(),
            })?;
        if assigned.incarnation != worker.incarnation {
            let current = assigned.incarnation;
            return Err(Refusal::StaleIncarnation {
                given: worker.clone(),
                current,
            });
        }
        Ok((job, assigned))
    }

    fn known_job(&self, id: &JobId) -> Result<&Job, Refusal> {
        self.jobs
            .get(id)
            .ok_or_else(|| Refusal::UnknownJob { job: id.clone() })
    }

    fn known_job_mut(&mut self, id: &JobId) -> Result<&mut Job, Refusal> {
        self.jobs
            .get_mut(id)
            .ok_or_else(|| Refusal::UnknownJob { job: id.clone() })
    }

    /// A job that is not over.
    fn open_job_mut(&mut self, id: &JobId) -> Result<&mut Job, Refusal> {
        let job = self.known_job_mut(id)?;
        if job.phase.is_over() {
            return Err(Refusal::JobOver {
                job: id.clone(),
                phase: job.phase.clone(),
            });
        }
        Ok(job)
    }
}
