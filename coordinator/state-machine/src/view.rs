//! What a job looks like from outside: its state together with what the leader knows beyond it.

mod lists;

use std::collections::{BTreeMap, BTreeSet};

use convoy_common::ids::{Generation, Incarnation, JobId, NodeId, Rank, SlotIndex, WorkerId};

use crate::actions::outcome;
use crate::cause::Evidence;
use crate::cluster::Cluster;
use crate::job::{AssignedWorker, Job, JobPhase, WorkerProcess};
use crate::membership::Forming;
use crate::placement::{Decision, count, decide};
use crate::records::{Checkpoint, Evaluation, Progress};

pub use lists::{JobSummary, NodeView, SlotUse, job_summary, node_view};

/// A job as a user sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct JobView {
    /// Which job.
    pub id: JobId,
    /// The name in its spec.
    pub name: String,
    /// Where it stands.
    pub phase: JobPhase,
    /// One sentence with subject and numbers, in every phase.
    pub reason: String,
    /// Its current generation; 0 before the first.
    pub generation: Generation,
    /// Its workers, also those that ended.
    pub workers: Vec<WorkerView>,
    /// How far it is, once known.
    pub progress: Option<Progress>,
    /// Newest last.
    pub evaluations: Vec<Evaluation>,
    /// Those with a manifest, newest last.
    pub checkpoints: Vec<Checkpoint>,
    /// What people and tools noted about it.
    pub annotations: BTreeMap<String, String>,
}

/// A worker as a user sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerView {
    /// Which.
    pub worker: WorkerId,
    /// Which life of it.
    pub incarnation: Incarnation,
    /// Where it runs.
    pub node: NodeId,
    /// In which slot.
    pub slot: SlotIndex,
    /// 0 until it was started.
    pub pid: u32,
    /// Empty until it was started.
    pub log_path: String,
    /// How far its life is.
    pub stage: WorkerStage,
    /// 0 before the first generation.
    pub rank: Rank,
}

/// How far a worker's life is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerStage {
    /// It has a slot.
    Assigned,
    /// Its process runs.
    Started,
    /// It has a session.
    Attached,
    /// It is ready for a generation.
    Ready,
    /// It is a member of the current generation.
    Training,
    /// Its process is gone.
    Exited,
}

/// What the leader knows about a job beyond the state.
#[derive(Clone, Copy, Debug)]
pub struct Live<'a> {
    /// Workers that have a session.
    pub attached: &'a BTreeSet<WorkerId>,
    /// Workers that are done with every step, evaluation and checkpoint.
    pub trained: &'a BTreeSet<WorkerId>,
    /// The attempt that is going on.
    pub forming: Option<&'a Forming>,
    /// Newer than what the state holds.
    pub progress: Option<&'a Progress>,
    /// What is known about its trouble.
    pub evidence: &'a Evidence,
}

/// What `job` looks like from outside.
#[must_use]
pub fn job_view(cluster: &Cluster, job: &Job, live: Live<'_>) -> JobView {
    let progress = live.progress.or(job.progress.as_ref());
    let written = job
        .checkpoints
        .iter()
        .filter(|checkpoint| checkpoint.manifest_written);
    JobView {
        id: job.id.clone(),
        name: job.spec.name().to_owned(),
        phase: job.phase.clone(),
        reason: reason(cluster, job, live),
        generation: job.current_generation(),
        workers: job
            .workers
            .iter()
            .map(|(id, worker)| worker_view(job, *id, worker, live))
            .collect(),
        progress: progress.cloned(),
        evaluations: job.evaluations.clone(),
        checkpoints: written.cloned().collect(),
        annotations: job.annotations.clone(),
    }
}

fn reason(cluster: &Cluster, job: &Job, live: Live<'_>) -> String {
    let trouble = live.evidence.waits_for(job);
    match &job.phase {
        JobPhase::Waiting => match decide(cluster, job) {
            Decision::Wait(reason) => reason.to_string(),
            Decision::Place(slots) => format!("is being placed on {} slots", slots.len()),
        },
        JobPhase::Forming => trouble.unwrap_or_else(|| forming_reason(job, live)),
        JobPhase::Training => trouble.unwrap_or_else(|| training_reason(job, live)),
        JobPhase::Finished { .. } | JobPhase::Failed { .. } | JobPhase::Cancelled { .. } => {
            outcome(job)
        }
    }
}

fn forming_reason(job: &Job, live: Live<'_>) -> String {
    if let Some(forming) = live.forming {
        return forming.waits_for();
    }
    let missing = job.workers.keys().filter(|id| !live.attached.contains(id));
    let names: Vec<String> = missing.map(ToString::to_string).collect();
    let noun = if names.len() == 1 {
        "worker"
    } else {
        "workers"
    };
    let (absent, wanted) = (names.len(), job.wanted);
    format!(
        "waits for {absent} of {wanted} workers to start and attach: {noun} {}",
        names.join(", ")
    )
}

fn training_reason(job: &Job, live: Live<'_>) -> String {
    let workers = count(job.wanted, "worker");
    let generation = job.current_generation();
    if live.trained.len() >= job.workers.len() {
        return match job.last_checkpoint() {
            None => format!("all {workers} are done: waits for the slices of the final checkpoint"),
            Some(last) => {
                let step = last.key.step;
                format!(
                    "all {workers} are done: waits for the manifest of the final checkpoint, after step {step}"
                )
            }
        };
    }
    match live.progress.or(job.progress.as_ref()) {
        None => format!("generation {generation} begins with {workers}"),
        Some(progress) => {
            let Progress {
                position,
                steps,
                epoch,
                epochs,
                ..
            } = progress;
            let (step, epoch) = (position.step, (epoch.0 + 1).min(*epochs));
            format!(
                "generation {generation} trains with {workers}: step {step} of {steps}, epoch {epoch} of {epochs}"
            )
        }
    }
}

fn worker_view(job: &Job, id: WorkerId, worker: &AssignedWorker, live: Live<'_>) -> WorkerView {
    let members = job
        .newest_generation()
        .into_iter()
        .flat_map(|generation| &generation.members);
    let mut own = members.filter(|member| {
        member.worker.worker == id && member.worker.incarnation == worker.incarnation
    });
    let rank = own.next().map(|member| member.rank);
    let stage = match &worker.process {
        WorkerProcess::Ended(_) => WorkerStage::Exited,
        WorkerProcess::Assigned | WorkerProcess::Started { .. } if rank.is_some() => {
            WorkerStage::Training
        }
        WorkerProcess::Assigned | WorkerProcess::Started { .. } if live.attached.contains(&id) => {
            let ready = live.forming.is_some_and(|forming| forming.is_ready(id));
            if ready {
                WorkerStage::Ready
            } else {
                WorkerStage::Attached
            }
        }
        WorkerProcess::Started { .. } => WorkerStage::Started,
        WorkerProcess::Assigned => WorkerStage::Assigned,
    };
    WorkerView {
        worker: id,
        incarnation: worker.incarnation,
        node: worker.node.clone(),
        slot: worker.slot,
        pid: worker.pid(),
        log_path: worker.log_path().to_owned(),
        stage,
        rank: rank.unwrap_or_default(),
    }
}
