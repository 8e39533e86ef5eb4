//! Workers get slots, start and end.

use std::collections::BTreeSet;

use convoy_common::ids::{JobId, NodeId, SlotIndex, WorkerId, WorkerRef};

use super::Cluster;
use crate::command::{AgentRef, Answer, Outcome};
use crate::job::{AssignedWorker, JobPhase, Obituary, PhaseName, WorkerProcess};
use crate::node::NodeState;
use crate::refusal::Refusal;
use crate::text::{cut_obituary, cut_path};

impl Cluster {
    pub(super) fn place_workers(&mut self, id: &JobId, slots: &[(NodeId, SlotIndex)]) -> Answer {
        self.check_placement(id, slots)?;
        let mut placed = Vec::with_capacity(slots.len());
        for (worker, (node, slot)) in (0..).map(WorkerId).zip(slots) {
            let incarnation = self.newest_incarnation.next();
            self.newest_incarnation = incarnation;
            let (node, slot) = (node.clone(), *slot);
            let assigned = AssignedWorker {
                incarnation,
                node,
                slot,
                process: WorkerProcess::Assigned,
            };
            self.jobs.assign(id, worker, assigned);
            placed.push(WorkerRef {
                job: id.clone(),
                worker,
                incarnation,
            });
        }
        self.jobs.set_phase(id, JobPhase::Forming);
        Ok(Outcome::Placed(placed))
    }

    fn check_placement(&self, id: &JobId, slots: &[(NodeId, SlotIndex)]) -> Result<(), Refusal> {
        let job = self.known_job(id)?;
        if job.phase != JobPhase::Waiting {
            return Err(Refusal::WrongPhase {
                job: id.clone(),
                phase: job.phase.name(),
                wanted: PhaseName::Waiting,
            });
        }
        if slots.len() != job.wanted as usize {
            let (given, wanted) = (slots.len(), job.wanted);
            return Err(Refusal::WrongSlotCount {
                job: id.clone(),
                given,
                wanted,
            });
        }
        let mut named = BTreeSet::new();
        for (node_id, slot) in slots {
            self.check_slot(node_id, *slot)?;
            if let Some(holder) = self.slot_holder(node_id, *slot) {
                let (node, holder) = (node_id.clone(), holder.clone());
                return Err(Refusal::SlotTaken {
                    node,
                    slot: *slot,
                    holder,
                });
            }
            if !named.insert((node_id, slot)) {
                return Err(Refusal::SlotNamedTwice {
                    node: node_id.clone(),
                    slot: *slot,
                });
            }
        }
        Ok(())
    }

    fn check_slot(&self, id: &NodeId, slot: SlotIndex) -> Result<(), Refusal> {
        let Some(node) = self.nodes.get(id) else {
            return Err(Refusal::UnknownNode { node: id.clone() });
        };
        if let NodeState::Lost { reason } = &node.state {
            return Err(Refusal::NodeIsLost {
                node: id.clone(),
                reason: reason.clone(),
            });
        }
        let slots = node.offer.slots;
        if slot.0 >= slots {
            return Err(Refusal::NoSuchSlot {
                node: id.clone(),
                slot,
                slots,
            });
        }
        Ok(())
    }

    pub(super) fn worker_started(
        &mut self,
        agent: &AgentRef,
        worker: &WorkerRef,
        pid: u32,
        log_path: String,
    ) -> Answer {
        match &self.fenced_process(agent, worker)?.process {
            WorkerProcess::Assigned => {}
            WorkerProcess::Started { .. } => return Ok(Outcome::Unchanged),
            WorkerProcess::Ended(Obituary { how, .. }) => {
                return Err(Refusal::WorkerHasEnded {
                    worker: worker.clone(),
                    how: how.clone(),
                });
            }
        }
        let log_path = cut_path(log_path);
        let workers = &mut self.changed_job(&worker.job)?.workers;
        if let Some(assigned) = workers.get_mut(&worker.worker) {
            assigned.process = WorkerProcess::Started { pid, log_path };
        }
        Ok(Outcome::Done)
    }

    pub(super) fn worker_ended(
        &mut self,
        agent: &AgentRef,
        worker: &WorkerRef,
        obituary: Obituary,
    ) -> Answer {
        if !self.fenced_process(agent, worker)?.is_live() {
            return Ok(Outcome::Unchanged);
        }
        self.jobs.end_worker(worker, cut_obituary(obituary));
        Ok(Outcome::Done)
    }
}
