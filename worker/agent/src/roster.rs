//! Which workers should run here, which do, and what to do about the difference. Pure: events in, actions out.
//!
//! **Invariant:** at most one life per slot and per (job, worker) at any time: a successor waits until the process before
//! it was waited for, since two processes would fight for the device and one of them would be fenced anyway.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use convoy_common::ids::{Incarnation, JobId, SlotIndex, WorkerId, WorkerRef};

/// A worker that should run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) worker: WorkerRef,
    pub(crate) slot: SlotIndex,
    pub(crate) spec_json: String,
}

/// A worker whose process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Started {
    pub(crate) worker: WorkerRef,
    pub(crate) pid: u32,
    pub(crate) log_path: PathBuf,
}

/// A worker whose process is gone, or never came to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Obituary {
    pub(crate) worker: WorkerRef,
    /// `None` when it could not be started.
    pub(crate) pid: Option<u32>,
    pub(crate) how: String,
    pub(crate) clean: bool,
    /// Of its log, oldest first.
    pub(crate) last_lines: Vec<String>,
    /// `None` when it never had one.
    pub(crate) log_path: Option<PathBuf>,
}

/// What the shell is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Start it, then say so by [`Roster::started`] or [`Roster::ended`].
    Start(Assignment),
    /// End it in order; [`Roster::ended`] follows. It may still be starting.
    Stop(WorkerRef),
    /// Tell the coordinator.
    ReportStarted(Started),
    /// Tell the coordinator.
    ReportEnded(Obituary),
}

/// The workers of this node.
#[derive(Debug)]
pub(crate) struct Roster {
    slots: u32,
    /// Empty for good once the agent is leaving.
    desired: Vec<Assignment>,
    leaving: bool,
    lives: BTreeMap<WorkerRef, Life>,
    /// The newest incarnation that was ever started of each worker: this one and older ones are never started again.
    newest: BTreeMap<(JobId, WorkerId), Incarnation>,
    /// The ends that the coordinator may not know of: kept while it still names the worker.
    obituaries: BTreeMap<WorkerRef, Obituary>,
}

#[derive(Debug)]
struct Life {
    slot: SlotIndex,
    /// Set once the process runs.
    started: Option<Started>,
    stopping: bool,
}

impl Roster {
    pub(crate) fn new(slots: u32) -> Self {
        Self {
            slots,
            desired: Vec::new(),
            leaving: false,
            lives: BTreeMap::new(),
            newest: BTreeMap::new(),
            obituaries: BTreeMap::new(),
        }
    }

    /// The coordinator named the whole set that should run here.
    pub(crate) fn desire(&mut self, desired: Vec<Assignment>) -> Vec<Action> {
        if self.leaving {
            return Vec::new();
        }
        self.desired = desired;
        let desired = &self.desired;
        self.obituaries.retain(|worker, _| names(desired, worker));
        self.reconcile()
    }

    /// The process of a worker runs.
    pub(crate) fn started(&mut self, started: Started) -> Vec<Action> {
        if let Some(life) = self.lives.get_mut(&started.worker) {
            life.started = Some(started.clone());
        }
        vec![Action::ReportStarted(started)]
    }

    /// The process of a worker was waited for, or could not be started.
    pub(crate) fn ended(&mut self, obituary: Obituary) -> Vec<Action> {
        self.lives.remove(&obituary.worker);
        let mut actions = vec![Action::ReportEnded(obituary.clone())];
        self.obituaries.insert(obituary.worker.clone(), obituary);
        actions.extend(self.reconcile());
        actions
    }

    /// A session was opened: what the coordinator missed, and what another one never heard.
    pub(crate) fn session_opened(&self) -> Vec<Action> {
        let running = self.lives.values().filter_map(|life| life.started.clone());
        let ended = self.obituaries.values().cloned();
        running
            .map(Action::ReportStarted)
            .chain(ended.map(Action::ReportEnded))
            .collect()
    }

    /// The agent ends: so do all workers, and none is started any more.
    pub(crate) fn leave(&mut self) -> Vec<Action> {
        self.leaving = true;
        self.desired.clear();
        self.reconcile()
    }

    /// No worker runs or starts.
    pub(crate) fn is_empty(&self) -> bool {
        self.lives.is_empty()
    }

    fn reconcile(&mut self) -> Vec<Action> {
        let mut actions = self.stop_unwanted();
        for assignment in self.desired.clone() {
            match self.judge(&assignment) {
                Verdict::Wait => {}
                Verdict::Start => {
                    self.begin_life(&assignment);
                    actions.push(Action::Start(assignment));
                }
                Verdict::Refuse(reason) => {
                    let obituary = refused(assignment.worker, &reason);
                    self.bar(&obituary.worker);
                    self.obituaries
                        .insert(obituary.worker.clone(), obituary.clone());
                    actions.push(Action::ReportEnded(obituary));
                }
            }
        }
        actions
    }

    fn stop_unwanted(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        for (worker, life) in &mut self.lives {
            if !life.stopping && !names(&self.desired, worker) {
                life.stopping = true;
                actions.push(Action::Stop(worker.clone()));
            }
        }
        actions
    }

    fn judge(&self, assignment: &Assignment) -> Verdict {
        let Assignment { worker, slot, .. } = assignment;
        let key = (worker.job.clone(), worker.worker);
        if self
            .newest
            .get(&key)
            .is_some_and(|newest| worker.incarnation <= *newest)
        {
            return Verdict::Wait;
        }
        if slot.0 >= self.slots {
            return Verdict::Refuse(format!(
                "slot {slot} does not exist on this node, which has {}",
                self.slots
            ));
        }
        let in_the_way = self.lives.iter().find(|(other, life)| {
            life.slot == *slot || (other.job == worker.job && other.worker == worker.worker)
        });
        match in_the_way {
            None => Verdict::Start,
            // It ends, and then the roster is reconciled again.
            Some((_, life)) if life.stopping => Verdict::Wait,
            Some((other, life)) => Verdict::Refuse(format!(
                "slot {slot} belongs to {other} in slot {}",
                life.slot
            )),
        }
    }

    fn begin_life(&mut self, assignment: &Assignment) {
        self.bar(&assignment.worker);
        let life = Life {
            slot: assignment.slot,
            started: None,
            stopping: false,
        };
        self.lives.insert(assignment.worker.clone(), life);
    }

    /// From now on neither this incarnation nor an older one is started.
    fn bar(&mut self, worker: &WorkerRef) {
        self.newest
            .insert((worker.job.clone(), worker.worker), worker.incarnation);
    }
}

enum Verdict {
    /// It runs, has ended, or its place is about to become free.
    Wait,
    Start,
    Refuse(String),
}

fn names(desired: &[Assignment], worker: &WorkerRef) -> bool {
    desired
        .iter()
        .any(|assignment| assignment.worker == *worker)
}

fn refused(worker: WorkerRef, reason: &str) -> Obituary {
    Obituary {
        worker,
        pid: None,
        how: format!("could not be started: {reason}"),
        clean: false,
        last_lines: Vec::new(),
        log_path: None,
    }
}
