//! What the state owes to the outside. Computed, never emitted by `apply`: whoever leads performs it, and performs it
//! again when in doubt; every action carries the generation that justifies it.

use convoy_common::ids::{Attempt, Generation, NodeId, Rank, SlotIndex, WorkerRef};

use crate::cluster::Cluster;
use crate::job::{Job, JobPhase};
use crate::placement::count;
use crate::records::Checkpoint;
use crate::spec::StoredSpec;

/// A worker that should run on a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment<'a> {
    /// Which.
    pub worker: WorkerRef,
    /// In which slot.
    pub slot: SlotIndex,
    /// For what.
    pub spec: &'a StoredSpec,
}

/// What one worker must be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owed {
    /// Its generation is committed: train.
    Go {
        /// The attempt that formed it.
        attempt: Attempt,
        /// Its number.
        generation: Generation,
    },
    /// Write the manifest of a committed checkpoint.
    WriteManifest(Checkpoint),
    /// The job is over.
    Finish {
        /// One sentence.
        reason: String,
    },
}

/// The whole set of workers that should run on `node`, by slot: those of jobs that are not over, and those that `lingers`
/// grants some time to end by themselves.
pub fn desired_workers<'a>(
    cluster: &'a Cluster,
    node: &NodeId,
    lingers: impl Fn(&WorkerRef) -> bool,
) -> Vec<Assignment<'a>> {
    let mut desired = Vec::new();
    for (slot, worker) in cluster.holders_on(node) {
        let Some(job) = cluster.job(&worker.job) else {
            continue;
        };
        if !job.phase.is_over() || lingers(worker) {
            desired.push(Assignment {
                worker: worker.clone(),
                slot,
                spec: &job.spec,
            });
        }
    }
    desired
}

/// Everything that `worker` must be told in this state, in order. Telling it twice does no harm.
#[must_use]
pub fn owed_to(cluster: &Cluster, worker: &WorkerRef) -> Vec<Owed> {
    let Ok((job, _)) = cluster.current_worker(worker) else {
        return Vec::new();
    };
    if job.phase.is_over() {
        return vec![Owed::Finish {
            reason: outcome(job),
        }];
    }
    let mut owed = Vec::new();
    if let Some(generation) = job.newest_generation()
        && generation
            .members
            .iter()
            .any(|member| member.worker == *worker)
    {
        owed.push(Owed::Go {
            attempt: generation.attempt,
            generation: generation.number,
        });
    }
    let unwritten = job
        .checkpoints
        .iter()
        .filter(|checkpoint| !checkpoint.manifest_written);
    let own = unwritten.filter(|checkpoint| is_rank_0(job, checkpoint.key.generation, worker));
    owed.extend(own.cloned().map(Owed::WriteManifest));
    owed
}

fn is_rank_0(job: &Job, generation: Generation, worker: &WorkerRef) -> bool {
    let mut members = job
        .generation(generation)
        .into_iter()
        .flat_map(|generation| &generation.members);
    members.any(|member| member.rank == Rank(0) && member.worker == *worker)
}

/// How a job that is over ended, in one sentence; empty while it is not over.
#[must_use]
pub fn outcome(job: &Job) -> String {
    match &job.phase {
        JobPhase::Waiting | JobPhase::Forming | JobPhase::Training => String::new(),
        JobPhase::Failed { reason } => reason.clone(),
        JobPhase::Cancelled { reason } => format!("cancelled: {reason}"),
        JobPhase::Finished { checkpoint, .. } => {
            let epochs = count(job.spec.epochs(), "epoch");
            let tested = job.evaluations.last().map_or_else(String::new, |last| {
                let (percent, correct, samples) =
                    (last.accuracy_percent(), last.correct, last.samples);
                format!("; test accuracy {percent:.2} % ({correct} of {samples})")
            });
            let saved = job
                .last_checkpoint()
                .map_or("", |last| last.key.folder.as_str());
            format!("trained {epochs} in {checkpoint} steps{tested}; final checkpoint in {saved}")
        }
    }
}
