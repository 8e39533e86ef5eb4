//! Workers get slots, start and end.

use std::collections::BTreeSet;

use convoy_common::ids::{JobId, NodeId, SlotIndex, WorkerId, WorkerRef};

use super::Cluster;
use crate::command::Outcome;
use crate::job::{AssignedWorker, Job, JobPhase, Obituary, WorkerProcess};
use crate::node::NodeState;
use crate::refusal::Refusal;

impl Cluster {
    pub(super) fn place_workers(
        &mut self,
        id: &JobId,
        slots: &[(NodeId, SlotIndex)],
    ) -> Result<Outcome, Refusal> {
        self.check_placement(id, slots)?;
        let mut incarnation = self.newest_incarnation;
        let job = self.known_job_mut(id)?;
        let mut placed = Vec::with_capacity(slots.len());
        for (worker, (node, slot)) in (0..).map(WorkerId).zip(slots) {
            incarnation = incarnation.next();
            let (node, slot) = (node.clone(), *slot);
            let assigned = AssignedWorker {
                incarnation,
                node,
                slot,
                process: WorkerProcess::Assigned,
            };
            job.workers.insert(worker, assigned);
            placed.push(WorkerRef {
                job: id.clone(),
                worker,
                incarnation,
            });
        }
        job.phase = JobPhase::Forming;
        self.newest_incarnation = incarnation;
        Ok(Outcome::Placed(placed))
    }

    fn check_placement(&self, id: &JobId, slots: &[(NodeId, SlotIndex)]) -> Result<(), Refusal> {
        let job = self.known_job(id)?;
        if job.phase != JobPhase::Waiting {
            let phase = job.phase.clone();
            return Err(Refusal::WrongPhase {
                job: id.clone(),
                phase,
                wanted: "waiting",
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
        let holders = self.slot_holders();
        let mut named = BTreeSet::new();
        for (node_id, slot) in slots {
            self.check_slot(node_id, *slot)?;
            if let Some(holder) = holders.get(&(node_id.clone(), *slot)) {
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
        if slot.0 >= node.slots {
            return Err(Refusal::NoSuchSlot {
                node: id.clone(),
                slot,
                slots: node.slots,
            });
        }
        Ok(())
    }

    pub(super) fn worker_started(
        &mut self,
        worker: &WorkerRef,
        pid: u32,
        log_path: String,
    ) -> Result<Outcome, Refusal> {
        let assigned = self.current_worker_mut(worker)?;
        match &assigned.process {
            WorkerProcess::Assigned => {
                assigned.process = WorkerProcess::Started { pid, log_path };
                Ok(Outcome::Done)
            }
            WorkerProcess::Started { .. } => Ok(Outcome::Unchanged),
            WorkerProcess::Ended(Obituary { how, .. }) => Err(Refusal::WorkerHasEnded {
                worker: worker.clone(),
                how: how.clone(),
            }),
        }
    }

    pub(super) fn worker_ended(
        &mut self,
        worker: &WorkerRef,
        obituary: Obituary,
    ) -> Result<Outcome, Refusal> {
        let assigned = self.current_worker_mut(worker)?;
        if !assigned.is_live() {
            return Ok(Outcome::Unchanged);
        }
        assigned.process = WorkerProcess::Ended(obituary);
        Ok(Outcome::Done)
    }

    fn current_worker_mut(&mut self, worker: &WorkerRef) -> Result<&mut AssignedWorker, Refusal> {
        self.current_worker(worker)?;
        let workers = self
            .jobs
            .get_mut(&worker.job)
            .map(|job: &mut Job| &mut job.workers);
        workers
            .and_then(|workers| workers.get_mut(&worker.worker))
            .ok_or_else(|| Refusal::UnknownWorker {
                job: worker.job.clone(),
                worker: worker.worker,
                workers: 0,
            })
    }
}
