//! Lists of jobs and of nodes: one line each.

use std::collections::BTreeMap;

use convoy_common::ids::{Generation, JobId, NodeId, SlotIndex, StepIndex, WorkerRef};

use super::{Live, reason};
use crate::cluster::Cluster;
use crate::job::{Job, PhaseName};
use crate::limits::MAX_SUMMARY_REASON_BYTES;
use crate::node::{Node, NodeState};
use crate::text::cut;

/// A job in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct JobSummary {
    /// Which job.
    pub id: JobId,
    /// Counts the jobs of the cluster: the order of their submission.
    pub number: u64,
    /// The name in its spec.
    pub name: String,
    /// Where it stands.
    pub phase: PhaseName,
    /// One sentence with subject and numbers, in every phase; cut to [`MAX_SUMMARY_REASON_BYTES`].
    pub reason: String,
    /// Exactly so many workers.
    pub wanted: u32,
    /// Workers that hold a slot.
    pub live: u32,
    /// Its current generation; 0 before the first.
    pub generation: Generation,
    /// Completed steps, once known.
    pub step: Option<StepIndex>,
    /// Steps of the whole job, once known.
    pub steps: Option<u64>,
    /// Images per second, once known.
    pub images_per_second: Option<f64>,
}

/// A node in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// Which machine.
    pub id: NodeId,
    /// Why nothing is placed on it; none while it is alive.
    pub lost: Option<String>,
    /// Workers that it can run at the same time.
    pub slots: u32,
    /// Who holds which of them.
    pub used: Vec<SlotUse>,
    /// Address that other nodes reach its workers at.
    pub advertised_host: String,
    /// What its owner says about it.
    pub labels: BTreeMap<String, String>,
    /// How its agent's build names itself.
    pub build: String,
    /// The protocol that its agent speaks.
    pub protocol_version: u32,
    /// Bytes of memory that each worker may use, if that is limited.
    pub worker_memory_bytes: Option<u64>,
}

/// A slot that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotUse {
    /// Which slot.
    pub slot: SlotIndex,
    /// Who holds it.
    pub worker: WorkerRef,
}

/// `job` as one line of a list.
#[must_use]
pub fn job_summary(cluster: &Cluster, job: &Job, live: Live<'_>) -> JobSummary {
    let progress = live.progress.or(job.progress.as_ref());
    let reason = reason(cluster, job, live);
    let sentence = reason.lines().next().unwrap_or_default().to_owned();
    JobSummary {
        id: job.id.clone(),
        number: job.number,
        name: job.spec.name().to_owned(),
        phase: job.phase.name(),
        reason: cut(sentence, MAX_SUMMARY_REASON_BYTES),
        wanted: job.wanted,
        live: u32::try_from(job.live_workers().count()).unwrap_or(u32::MAX),
        generation: job.current_generation(),
        step: progress.map(|progress| progress.position.step),
        steps: progress.map(|progress| progress.steps),
        images_per_second: progress.map(|progress| progress.images_per_second),
    }
}

/// A node as one line of a list.
#[must_use]
pub fn node_view(cluster: &Cluster, id: &NodeId, node: &Node) -> NodeView {
    let offer = &node.offer;
    let used = cluster.holders_on(id).map(|(slot, worker)| SlotUse {
        slot,
        worker: worker.clone(),
    });
    NodeView {
        id: id.clone(),
        lost: match &node.state {
            NodeState::Alive => None,
            NodeState::Lost { reason } => Some(reason.clone()),
        },
        slots: offer.slots,
        used: used.collect(),
        advertised_host: offer.advertised_host.clone(),
        labels: offer.labels.clone(),
        build: offer.build.clone(),
        protocol_version: offer.protocol_version,
        worker_memory_bytes: offer.worker_memory_bytes,
    }
}
