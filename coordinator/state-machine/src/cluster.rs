//! The replicated state: jobs, nodes, generations, checkpoints. Changed by [`Cluster::apply`] alone.

mod clients;
mod fences;
mod generations;
mod job_table;
mod jobs;
mod nodes;
mod results;
mod upgrades;
mod workers;

use convoy_common::ids::{Incarnation, JobId, NodeId, ReplicaId, SlotIndex, WorkerRef};
use serde::{Deserialize, Serialize};

use crate::command::{Answer, Command, Envelope};
use crate::job::{AssignedWorker, Job, PhaseName};
use crate::node::Node;
use crate::refusal::Refusal;
use crate::replica::Replica;
use crate::shared_map::SharedMap;
use crate::text::Text;
use crate::version::ClusterVersion;

use clients::Clients;
use job_table::JobTable;

/// The replicated state.
///
/// Cheap to clone: a clone shares everything until one of both changes, so that it can be written elsewhere while commands
/// go on being applied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// The committed cluster version.
    version: ClusterVersion,
    /// Counts the commands that were applied, refused and repeated ones too.
    applied: u64,
    /// The incarnation given out last.
    newest_incarnation: Incarnation,
    /// The number of the newest job.
    newest_job: u64,
    clients: Clients,
    replicas: SharedMap<ReplicaId, Replica>,
    nodes: SharedMap<NodeId, Node>,
    jobs: JobTable,
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

    /// Applies one committed command: all of it, or nothing when it is refused. A client's newest command, when it comes
    /// again, is answered as the first time and not applied.
    ///
    /// Whoever applies a log calls [`Cluster::check_build`] before, and stops if that fails.
    ///
    /// # Errors
    /// Why the command does not hold in this state, with what was given and what holds.
    pub fn apply(&mut self, envelope: impl Into<Envelope>) -> Answer {
        let Envelope { origin, command } = envelope.into();
        self.applied += 1;
        let Some(origin) = origin else {
            return self.run(command);
        };
        Text::ClientId.check(&origin.client_id)?;
        if let Some(answer) = self.clients.recall(&origin, self.applied) {
            return answer;
        }
        let answer = self.run(command);
        self.clients.remember(origin, answer.clone(), self.applied);
        answer
    }

    fn run(&mut self, command: Command) -> Answer {
        self.check_version(&command)?;
        match command {
            Command::SubmitJob { spec, workers } => self.submit_job(spec, workers),
            Command::CancelJob { job, reason } => self.cancel_job(&job, reason),
            Command::AnnotateJob { job, key, value } => self.annotate_job(&job, key, value),
            Command::RegisterNode { agent, offer } => self.register_node(agent, offer),
            Command::NodeLost { agent, reason } => self.node_lost(&agent, reason),
            Command::PlaceWorkers { job, slots } => self.place_workers(&job, &slots),
            Command::WorkerStarted {
                agent,
                worker,
                pid,
                log_path,
            } => self.worker_started(&agent, &worker, pid, log_path),
            Command::WorkerEnded {
                agent,
                worker,
                obituary,
            } => self.worker_ended(&agent, &worker, obituary),
            Command::FormGeneration(formation) => self.form_generation(formation),
            Command::GenerationStarted { by } => self.generation_started(&by),
            Command::RecordProgress { by, progress } => self.record_progress(&by, progress),
            Command::RecordEvaluation { by, evaluation } => self.record_evaluation(&by, evaluation),
            Command::CommitCheckpoint {
                worker,
                key,
                slices,
            } => self.commit_checkpoint(worker, key, slices),
            Command::ManifestWritten { by, step } => self.manifest_written(&by, step),
            Command::FinishJob {
                job,
                generation,
                evaluation,
                checkpoint,
            } => self.finish_job(&job, generation, evaluation, checkpoint),
            Command::FailJob { job, reason } => self.fail_job(&job, reason),
            Command::SetClusterVersion { version } => self.set_version(version),
            Command::SetMember { replica, member } => self.set_member(replica, member),
            Command::RemoveMember { replica } => Ok(self.remove_member(replica)),
        }
    }

    /// The committed cluster version.
    #[must_use]
    pub fn version(&self) -> ClusterVersion {
        self.version
    }

    /// All coordinators whose addresses are known.
    pub fn replicas(&self) -> impl Iterator<Item = (ReplicaId, &Replica)> {
        self.replicas.iter().map(|(id, replica)| (*id, replica))
    }

    /// The coordinator with this id.
    #[must_use]
    pub fn replica(&self, id: ReplicaId) -> Option<&Replica> {
        self.replicas.get(&id)
    }

    /// All jobs by id.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.iter()
    }

    /// How many jobs there are, those that are over too.
    #[must_use]
    pub fn job_count(&self) -> usize {
        self.jobs.len()
    }

    /// The jobs that are not over, in the order of their submission.
    pub fn open_jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.open()
    }

    /// The jobs with this number or a larger one, in the order of their submission.
    pub fn jobs_from(&self, number: u64) -> impl Iterator<Item = &Job> {
        self.jobs.starting_at(number)
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

    /// The nodes by id, from this id on.
    pub fn nodes_from(&self, id: &NodeId) -> impl Iterator<Item = (&NodeId, &Node)> {
        self.nodes.starting_at(id)
    }

    /// The node with this id.
    #[must_use]
    pub fn node(&self, id: &NodeId) -> Option<&Node> {
        self.nodes.get(id)
    }

    /// Who holds which slot, by node and slot.
    pub fn slot_holders(&self) -> impl Iterator<Item = (&NodeId, SlotIndex, &WorkerRef)> {
        let holders = self.jobs.holders();
        holders.map(|((node, slot), worker)| (node, *slot, worker))
    }

    /// Who holds this slot.
    #[must_use]
    pub fn slot_holder(&self, node: &NodeId, slot: SlotIndex) -> Option<&WorkerRef> {
        self.jobs.holder(node, slot)
    }

    /// Who holds slots of this node, by slot.
    pub fn holders_on<'a>(
        &'a self,
        node: &'a NodeId,
    ) -> impl Iterator<Item = (SlotIndex, &'a WorkerRef)> {
        self.jobs.holders_on(node)
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

    /// A job that is not over.
    fn open_job(&self, id: &JobId) -> Result<&Job, Refusal> {
        let job = self.known_job(id)?;
        if job.phase.is_over() {
            return Err(Refusal::JobOver {
                job: id.clone(),
                phase: job.phase.name(),
            });
        }
        Ok(job)
    }

    /// A job that has a generation and is not over.
    fn training_job(&self, id: &JobId) -> Result<&Job, Refusal> {
        let job = self.open_job(id)?;
        let (phase, wanted) = (job.phase.name(), PhaseName::Training);
        if phase != wanted {
            return Err(Refusal::WrongPhase {
                job: id.clone(),
                phase,
                wanted,
            });
        }
        Ok(job)
    }

    /// A job that was found before, to change it.
    fn changed_job(&mut self, id: &JobId) -> Result<&mut Job, Refusal> {
        self.jobs
            .get_mut(id)
            .ok_or_else(|| Refusal::UnknownJob { job: id.clone() })
    }
}

#[cfg(test)]
impl Cluster {
    pub(crate) fn at_version(version: ClusterVersion) -> Self {
        Self {
            version,
            ..Self::default()
        }
    }

    pub(crate) fn client_count(&self) -> usize {
        self.clients.len()
    }

    /// That every order in which jobs are looked for is what follows from the jobs.
    pub(crate) fn check_orders(&self) {
        self.jobs.check();
    }

    pub(crate) fn is_same_memory(&self, other: &Self) -> bool {
        self.clients.is_same_memory(&other.clients)
            && self.nodes.is_same_memory(&other.nodes)
            && self.jobs.by_id().is_same_memory(other.jobs.by_id())
    }

    pub(crate) fn shared_jobs(&self, other: &Self) -> usize {
        self.jobs.by_id().shared_values(other.jobs.by_id())
    }

    pub(crate) fn shared_nodes(&self, other: &Self) -> usize {
        self.nodes.shared_values(&other.nodes)
    }
}
