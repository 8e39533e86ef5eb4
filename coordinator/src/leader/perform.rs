//! Tells agents and workers what the state owes them, once per session.

use std::collections::BTreeSet;
use std::sync::Arc;

use convoy_common::ids::{JobId, NodeId, WorkerRef};
use convoy_state_machine::actions::{Owed, desired_workers, owed_to};

use super::session::Unsent;
use super::{AgentDirective, DesiredWorker, Leader, WorkerDirective};
use crate::config::ms;
use crate::consensus::Log;

impl<L: Log> Leader<L> {
    pub(super) fn perform(&mut self) {
        let workers: Vec<WorkerRef> = self.workers.keys().cloned().collect();
        for worker in workers {
            self.tell_owed(&worker);
        }
        for node in self.nodes_in_use() {
            self.tell_desired(&node);
        }
    }

    /// Nodes whose agents may have to be told something: those that were not told yet, or of workers, and those that have
    /// workers now. All others know that they should run none.
    fn nodes_in_use(&self) -> BTreeSet<NodeId> {
        let agents = self.agents.iter();
        let told =
            agents.filter(|(_, agent)| agent.desired.as_ref().is_none_or(|told| !told.is_empty()));
        let holders = self.cluster.slot_holders().map(|(node, _, _)| node);
        told.map(|(node, _)| node).chain(holders).cloned().collect()
    }

    fn tell_owed(&mut self, worker: &WorkerRef) {
        let owed = owed_to(&self.cluster, worker);
        let Some(session) = self.workers.get_mut(worker) else {
            return;
        };
        let (told, new): (Vec<Owed>, Vec<Owed>) = owed
            .into_iter()
            .partition(|owed| session.told.contains(owed));
        session.told = told;
        session.told.extend(new.iter().cloned());
        for owed in new {
            tracing::info!(%worker, ?owed, "tells");
            self.tell(worker, directive(&worker.job, owed));
        }
    }

    fn tell_desired(&mut self, node: &NodeId) {
        let desired = self.desired(node);
        let Some(agent) = self.agents.get_mut(node) else {
            return;
        };
        if agent.desired.as_ref() == Some(&desired) {
            return;
        }
        tracing::info!(%node, workers = desired.len(), "tells which workers should run");
        let sent = agent
            .outbound
            .send(AgentDirective::Desired(desired.clone()));
        agent.desired = Some(desired);
        if sent == Err(Unsent::Slow) {
            self.drop_slow_agent(node);
        }
    }

    fn desired(&self, node: &NodeId) -> Vec<DesiredWorker> {
        let assignments = desired_workers(&self.cluster, node, |worker| self.lingers(worker));
        let desired = assignments.into_iter().map(|assignment| DesiredWorker {
            worker: assignment.worker,
            slot: assignment.slot,
            spec_json: Arc::clone(assignment.spec.json()),
        });
        desired.collect()
    }

    /// Whether a worker of a job that is over may still end by itself: it was told to, a short while ago.
    fn lingers(&self, worker: &WorkerRef) -> bool {
        let over_since = self.live.get(&worker.job).and_then(|live| live.over_since);
        self.workers.contains_key(worker)
            && over_since.is_some_and(|since| self.now.ms_since(since) < ms(self.timings.finish))
    }
}

fn directive(job: &JobId, owed: Owed) -> WorkerDirective {
    match owed {
        Owed::Go {
            attempt,
            generation,
        } => WorkerDirective::Go {
            attempt,
            generation,
        },
        Owed::WriteManifest(checkpoint) => WorkerDirective::WriteManifest {
            job: job.clone(),
            checkpoint,
        },
        Owed::Finish { reason } => WorkerDirective::Finish { reason },
    }
}
