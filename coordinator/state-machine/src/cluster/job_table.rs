//! All jobs, and the orders in which they are looked for: by id, by number, those that are open, who holds which slot.
//!
//! **Invariant:** the other orders follow from the jobs. Only the jobs are kept in snapshots; whatever changes a job's
//! phase, or a worker's slot, goes through a method of this table.

use convoy_common::ids::{JobId, NodeId, SlotIndex, WorkerId, WorkerRef};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::job::{AssignedWorker, Job, JobPhase, Obituary, WorkerProcess};
use crate::shared_map::SharedMap;

#[derive(Clone, Debug, Default)]
pub(super) struct JobTable {
    by_id: SharedMap<JobId, Job>,
    by_number: SharedMap<u64, JobId>,
    open: SharedMap<u64, JobId>,
    holders: SharedMap<(NodeId, SlotIndex), WorkerRef>,
}

impl JobTable {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// How many are not over.
    pub(super) fn open_len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn get(&self, id: &JobId) -> Option<&Job> {
        self.by_id.get(id)
    }

    /// All by id.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Job> {
        self.by_id.values()
    }

    /// Those with this number or a larger one, in the order of their submission.
    pub(super) fn starting_at(&self, number: u64) -> impl Iterator<Item = &Job> {
        let ids = self.by_number.starting_at(&number);
        ids.filter_map(|(_, id)| self.by_id.get(id))
    }

    /// Those that are not over, in the order of their submission.
    pub(super) fn open(&self) -> impl Iterator<Item = &Job> {
        self.open.values().filter_map(|id| self.by_id.get(id))
    }

    /// Who holds which slot.
    pub(super) fn holders(&self) -> impl Iterator<Item = (&(NodeId, SlotIndex), &WorkerRef)> {
        self.holders.iter()
    }

    /// Who holds this slot.
    pub(super) fn holder(&self, node: &NodeId, slot: SlotIndex) -> Option<&WorkerRef> {
        self.holders.get(&(node.clone(), slot))
    }

    /// Who holds slots of this node.
    pub(super) fn holders_on<'a>(
        &'a self,
        node: &'a NodeId,
    ) -> impl Iterator<Item = (SlotIndex, &'a WorkerRef)> {
        let from = self.holders.starting_at(&(node.clone(), SlotIndex(0)));
        from.take_while(move |((on, _), _)| on == node)
            .map(|((_, slot), worker)| (*slot, worker))
    }

    /// A job to change, but for its phase and its workers.
    pub(super) fn get_mut(&mut self, id: &JobId) -> Option<&mut Job> {
        self.by_id.get_mut(id)
    }

    pub(super) fn insert(&mut self, job: Job) {
        self.index(&job);
        self.by_id.insert(job.id.clone(), job);
    }

    pub(super) fn set_phase(&mut self, id: &JobId, phase: JobPhase) {
        let Some(job) = self.by_id.get_mut(id) else {
            return;
        };
        if phase.is_over() {
            self.open.remove(&job.number);
        }
        job.phase = phase;
    }

    /// Gives a worker its slot.
    pub(super) fn assign(&mut self, id: &JobId, worker: WorkerId, assigned: AssignedWorker) {
        let Some(job) = self.by_id.get_mut(id) else {
            return;
        };
        let place = (assigned.node.clone(), assigned.slot);
        job.workers.insert(worker, assigned);
        if let Some(worker) = job.worker_ref(worker) {
            self.holders.insert(place, worker);
        }
    }

    /// Ends a worker's process, whose slot becomes free.
    pub(super) fn end_worker(&mut self, worker: &WorkerRef, obituary: Obituary) {
        let job = self.by_id.get_mut(&worker.job);
        let assigned = job.and_then(|job| job.workers.get_mut(&worker.worker));
        let Some(assigned) = assigned else {
            return;
        };
        assigned.process = WorkerProcess::Ended(obituary);
        self.holders.remove(&(assigned.node.clone(), assigned.slot));
    }

    /// Forgets the oldest job that is over and has no worker's process left, if there is one.
    pub(super) fn forget_oldest_ended(&mut self) {
        let forgotten = self
            .starting_at(0)
            .find(|job| job.phase.is_over() && job.live_workers().next().is_none())
            .map(|job| (job.number, job.id.clone()));
        if let Some((number, id)) = forgotten {
            self.by_number.remove(&number);
            self.by_id.remove(&id);
        }
    }

    fn index(&mut self, job: &Job) {
        self.by_number.insert(job.number, job.id.clone());
        if !job.phase.is_over() {
            self.open.insert(job.number, job.id.clone());
        }
        for worker in job.live_workers() {
            if let Some(assigned) = job.workers.get(&worker.worker) {
                let place = (assigned.node.clone(), assigned.slot);
                self.holders.insert(place, worker);
            }
        }
    }
}

impl From<SharedMap<JobId, Job>> for JobTable {
    fn from(by_id: SharedMap<JobId, Job>) -> Self {
        let mut table = Self::default();
        for job in by_id.values() {
            table.index(job);
        }
        Self { by_id, ..table }
    }
}

impl PartialEq for JobTable {
    fn eq(&self, other: &Self) -> bool {
        self.by_id == other.by_id
    }
}

impl Serialize for JobTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.by_id.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for JobTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        SharedMap::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
impl JobTable {
    /// That every order is what follows from the jobs.
    pub(super) fn check(&self) {
        let afresh = Self::from(self.by_id.clone());
        assert_eq!(self.by_number, afresh.by_number, "jobs by number");
        assert_eq!(self.open, afresh.open, "open jobs");
        assert_eq!(self.holders, afresh.holders, "holders of slots");
    }

    pub(super) fn by_id(&self) -> &SharedMap<JobId, Job> {
        &self.by_id
    }
}
