//! Which job gets which slots: a pure function of the state, that returns slots or the reason to wait.

use std::collections::BTreeSet;
use std::fmt;

use convoy_common::ids::{JobId, NodeId, SlotIndex};

use crate::cluster::Cluster;
use crate::job::{Job, JobPhase};
use crate::node::Node;

/// What to do with a waiting job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Give it these slots, one per worker.
    Place(Vec<(NodeId, SlotIndex)>),
    /// Let it wait.
    Wait(WaitReason),
}

/// Why a job has no slots yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// Nobody offers any.
    NoNodes {
        /// Workers it wants.
        wanted: u32,
    },
    /// Too few are free.
    TooFewSlots {
        /// Workers it wants.
        wanted: u32,
        /// Free slots of all nodes.
        free: u32,
        /// All slots of these nodes.
        slots: u32,
        /// Nodes that are alive.
        nodes: u32,
    },
    /// An older job is served first.
    Behind {
        /// The oldest waiting job.
        first: JobId,
    },
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNodes { wanted } => write!(
                f,
                "waits for {}: {wanted} wanted, no node is connected",
                count(*wanted, "worker slot")
            ),
            Self::TooFewSlots {
                wanted,
                free,
                slots,
                nodes,
            } => write!(
                f,
                "waits for {} more worker slot{}: {wanted} wanted, {free} free on {} with {}",
                wanted.saturating_sub(*free),
                if wanted.saturating_sub(*free) == 1 {
                    ""
                } else {
                    "s"
                },
                count(*nodes, "node"),
                count(*slots, "slot"),
            ),
            Self::Behind { first } => {
                write!(f, "waits behind job {first}, which was submitted earlier")
            }
        }
    }
}

/// "1 node", "2 nodes".
pub(crate) fn count(number: u32, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// The waiting job that is served next: the oldest. Younger ones wait behind it, also those that would fit: a large job
/// would starve otherwise.
#[must_use]
pub fn next_waiting(cluster: &Cluster) -> Option<&Job> {
    let mut oldest_first = cluster.open_jobs();
    oldest_first.find(|job| job.phase == JobPhase::Waiting)
}

/// Decides about a waiting job: nodes with most free slots first, so that a job spreads over few nodes.
#[must_use]
pub fn decide(cluster: &Cluster, job: &Job) -> Decision {
    if let Some(first) = next_waiting(cluster).filter(|first| first.number < job.number) {
        return Decision::Wait(WaitReason::Behind {
            first: first.id.clone(),
        });
    }
    let alive: Vec<(&NodeId, &Node)> = alive(cluster).collect();
    let wanted = job.wanted;
    if alive.is_empty() {
        return Decision::Wait(WaitReason::NoNodes { wanted });
    }
    let mut roomiest: Vec<(&NodeId, Vec<SlotIndex>)> = alive
        .iter()
        .map(|(id, node)| (*id, free_slots(cluster, id, node)))
        .collect();
    roomiest.sort_by_key(|(_, slots)| std::cmp::Reverse(slots.len()));
    let offered = roomiest
        .into_iter()
        .flat_map(|(node, slots)| slots.into_iter().map(move |slot| (node.clone(), slot)));
    let chosen: Vec<_> = offered.take(wanted as usize).collect();
    if chosen.len() < wanted as usize {
        return Decision::Wait(WaitReason::TooFewSlots {
            wanted,
            free: u32::try_from(chosen.len()).unwrap_or(u32::MAX),
            slots: alive.iter().map(|(_, node)| node.offer.slots).sum(),
            nodes: u32::try_from(alive.len()).unwrap_or(u32::MAX),
        });
    }
    Decision::Place(chosen)
}

fn alive(cluster: &Cluster) -> impl Iterator<Item = (&NodeId, &Node)> {
    cluster.nodes().filter(|(_, node)| node.is_alive())
}

fn free_slots(cluster: &Cluster, id: &NodeId, node: &Node) -> Vec<SlotIndex> {
    let taken: BTreeSet<SlotIndex> = cluster.holders_on(id).map(|(slot, _)| slot).collect();
    let slots = (0..node.offer.slots).map(SlotIndex);
    slots.filter(|slot| !taken.contains(slot)).collect()
}
