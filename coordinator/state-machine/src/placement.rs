//! Which job gets which slots: a pure function of the state, that returns slots or the reason to wait.

use std::collections::BTreeMap;
use std::fmt;

use convoy_common::ids::{JobId, NodeId, SlotIndex};

use crate::cluster::Cluster;
use crate::job::{Job, JobPhase};

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

/// The waiting job that is served next: the oldest.
#[must_use]
pub fn next_waiting(cluster: &Cluster) -> Option<&Job> {
    let waiting = cluster.jobs().filter(|job| job.phase == JobPhase::Waiting);
    waiting.min_by_key(|job| job.number)
}

/// Decides about a waiting job: nodes with most free slots first, so that a job spreads over few nodes.
#[must_use]
pub fn decide(cluster: &Cluster, job: &Job) -> Decision {
    if let Some(first) = next_waiting(cluster).filter(|first| first.number < job.number) {
        return Decision::Wait(WaitReason::Behind {
            first: first.id.clone(),
        });
    }
    let free = free_slots(cluster);
    let wanted = job.wanted;
    let nodes = u32::try_from(free.len()).unwrap_or(u32::MAX);
    if nodes == 0 {
        return Decision::Wait(WaitReason::NoNodes { wanted });
    }
    let mut roomiest: Vec<(&NodeId, Vec<SlotIndex>)> = free.into_iter().collect();
    roomiest.sort_by_key(|(_, slots)| std::cmp::Reverse(slots.len()));
    let offered = roomiest
        .into_iter()
        .flat_map(|(node, slots)| slots.into_iter().map(move |slot| (node.clone(), slot)));
    let chosen: Vec<_> = offered.take(wanted as usize).collect();
    if chosen.len() < wanted as usize {
        let alive = cluster.nodes().filter(|(_, node)| node.is_alive());
        let slots = alive.map(|(_, node)| node.slots).sum();
        let free = u32::try_from(chosen.len()).unwrap_or(u32::MAX);
        return Decision::Wait(WaitReason::TooFewSlots {
            wanted,
            free,
            slots,
            nodes,
        });
    }
    Decision::Place(chosen)
}

fn free_slots(cluster: &Cluster) -> BTreeMap<&NodeId, Vec<SlotIndex>> {
    let holders = cluster.slot_holders();
    let alive = cluster.nodes().filter(|(_, node)| node.is_alive());
    let free = alive.map(|(id, node)| {
        let slots = (0..node.slots).map(SlotIndex);
        (
            id,
            slots
                .filter(|slot| !holders.contains_key(&(id.clone(), *slot)))
                .collect(),
        )
    });
    free.collect()
}
