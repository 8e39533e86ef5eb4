//! What the leader decides by itself: placement, attempts, ends. Each decision becomes a command, which `apply` checks
//! again; about one job, one decision is in flight at a time.

use std::collections::BTreeMap;

use convoy_common::ids::{Attempt, JobId, WorkerId, WorkerRef};
use convoy_state_machine::cause::{Cause, Patience};
use convoy_state_machine::job::{Job, JobPhase, WorkerProcess};
use convoy_state_machine::membership::{Basis, Candidate, Forming};
use convoy_state_machine::node::NodeState;
use convoy_state_machine::placement::{Decision, decide, next_waiting};
use convoy_state_machine::time::Seconds;
use convoy_state_machine::{Command, Outcome, Refusal};

use super::{Leader, LiveJob, Waiting, WorkerDirective};
use crate::config::ms;
use crate::consensus::Log;

impl<L: Log> Leader<L> {
    pub(super) fn decide(&mut self) {
        self.place();
        let open = self.cluster.open_jobs();
        let open: Vec<JobId> = open.map(|job| job.id.clone()).collect();
        for id in open {
            if self.deciding.contains(&id) {
                continue;
            }
            self.note_losses(&id);
            self.note_delays(&id);
            if let Some(command) = self.verdict(&id).or_else(|| self.finish(&id)) {
                self.propose(command, Waiting::Decision(id));
            } else {
                self.begin_attempt(&id);
            }
        }
    }

    fn place(&mut self) {
        let Some(job) = next_waiting(&self.cluster) else {
            return;
        };
        let id = job.id.clone();
        let in_trouble = |live: &LiveJob| !live.evidence.is_empty();
        if self.deciding.contains(&id) || self.live.get(&id).is_some_and(in_trouble) {
            return;
        }
        match decide(&self.cluster, job) {
            Decision::Wait(_) => {}
            Decision::Place(slots) => {
                let command = Command::PlaceWorkers {
                    job: id.clone(),
                    slots,
                };
                self.propose(command, Waiting::Decision(id));
            }
        }
    }

    /// Evidence that stands in the state: workers that ended, and those whose node is lost and who are not heard.
    fn note_losses(&mut self, id: &JobId) {
        let Some(job) = self.cluster.job(id) else {
            return;
        };
        let attached = self.attached(id);
        let mut causes = Vec::new();
        for (worker, assigned) in &job.workers {
            match &assigned.process {
                WorkerProcess::Ended(obituary) => {
                    let obituary = obituary.clone();
                    causes.push(Cause::Ended {
                        worker: *worker,
                        obituary,
                    });
                }
                WorkerProcess::Assigned | WorkerProcess::Started { .. } => {
                    let node = self.cluster.node(&assigned.node);
                    let state = node.map(|node| &node.state);
                    if let Some(NodeState::Lost { reason }) = state
                        && !attached.contains(worker)
                    {
                        let (node, reason) = (assigned.node.clone(), reason.clone());
                        causes.push(Cause::NodeLost { node, reason });
                    }
                }
            }
        }
        for cause in causes {
            self.note_once(id, cause);
        }
    }

    fn note_once(&mut self, id: &JobId, cause: Cause) {
        let live = self.live.entry(id.clone()).or_default();
        if live.evidence.note(cause, self.now) {
            self.views.mark(id);
        }
    }

    /// What takes longer than it may is a cause of its own: no job waits for ever.
    fn note_delays(&mut self, id: &JobId) {
        let overdue = match self.cluster.job(id).map(|job| &job.phase) {
            Some(JobPhase::Forming) => self.late_workers(id).or_else(|| self.late_answers(id)),
            Some(JobPhase::Training) => self
                .late_answers(id)
                .or_else(|| self.late_last_checkpoint(id)),
            None
            | Some(
                JobPhase::Waiting
                | JobPhase::Finished { .. }
                | JobPhase::Failed { .. }
                | JobPhase::Cancelled { .. },
            ) => None,
        };
        if let Some(text) = overdue {
            self.note_once(id, Cause::Decided(text));
        }
    }

    fn late_workers(&self, id: &JobId) -> Option<String> {
        let (job, live) = (self.cluster.job(id)?, self.live.get(id)?);
        let limit_ms = ms(self.timings.attach);
        let waited_ms = self.now.ms_since(live.placed_at?);
        // Those that were attached before are judged by their silence.
        if waited_ms < limit_ms || live.was_complete {
            return None;
        }
        let attached = self.attached(id);
        let (worker, assigned) = job.workers.iter().find(|(id, _)| !attached.contains(id))?;
        let (node, waited) = (&assigned.node, Seconds { ms: waited_ms });
        let process = match &assigned.process {
            WorkerProcess::Assigned => "its agent did not report its start".to_owned(),
            WorkerProcess::Started { pid, log_path } => {
                format!("its process {pid} was started; its log is {log_path}")
            }
            WorkerProcess::Ended(obituary) => obituary.how.clone(),
        };
        Some(format!(
            "worker {worker} on node {node} did not attach within {waited} of its placement: {process}"
        ))
    }

    fn late_answers(&self, id: &JobId) -> Option<String> {
        let forming = self.live.get(id)?.forming.as_ref()?;
        let overdue = forming.overdue(ms(self.timings.forming), self.now)?;
        Some(overdue.to_string())
    }

    fn late_last_checkpoint(&self, id: &JobId) -> Option<String> {
        let live = self.live.get(id)?;
        let waited_ms = self.now.ms_since(live.all_trained_at?);
        if waited_ms < ms(self.timings.last_checkpoint) {
            return None;
        }
        let waited = Seconds { ms: waited_ms };
        let what = match self.cluster.job(id)?.last_checkpoint() {
            None => {
                let slices = live
                    .slices
                    .incomplete()
                    .map(|(_, slices)| slices)
                    .max()
                    .unwrap_or(0);
                format!("{slices} of its slices were reported")
            }
            Some(last) => format!("its manifest in {} was not reported", last.key.folder),
        };
        Some(format!(
            "the final checkpoint was not complete within {waited} of the last step: {what}"
        ))
    }

    fn verdict(&mut self, id: &JobId) -> Option<Command> {
        let patience = Patience {
            settle_ms: ms(self.timings.settle),
            symptom_ms: ms(self.timings.symptom),
        };
        let (job, live) = (self.cluster.job(id)?, self.live.get(id)?);
        let reason = live.evidence.verdict(job, patience, self.now)?;
        Some(Command::FailJob {
            job: id.clone(),
            reason,
        })
    }

    /// The job is done when all members are and the final checkpoint's manifest is written.
    fn finish(&mut self, id: &JobId) -> Option<Command> {
        let job = self.cluster.job(id)?;
        let generation = job.newest_generation()?;
        let members = &generation.members;
        let live = self.live.get_mut(id)?;
        if !members
            .iter()
            .all(|member| live.trained.contains(&member.worker.worker))
        {
            return None;
        }
        live.all_trained_at.get_or_insert(self.now);
        let last = job.last_checkpoint().filter(|last| last.manifest_written)?;
        let evaluation = job.evaluations.last().map(|last| last.step);
        Some(Command::FinishJob {
            job: id.clone(),
            generation: generation.number,
            evaluation,
            checkpoint: last.key.step,
        })
    }

    /// Begins an attempt once all workers of a forming job are attached.
    fn begin_attempt(&mut self, id: &JobId) {
        let term = self.term();
        let Some(job) = self.cluster.job(id) else {
            return;
        };
        let live = self.live.entry(id.clone()).or_default();
        if job.phase != JobPhase::Forming {
            return;
        }
        live.placed_at.get_or_insert(self.now);
        if live.forming.is_some() || !live.evidence.is_empty() {
            return;
        }
        let attached = job.live_workers().filter_map(|worker| {
            let session = self.workers.get(&worker)?;
            let candidate = Candidate {
                node: job.workers.get(&worker.worker)?.node.clone(),
                data_address: session.data_address.clone(),
                build: session.build.clone(),
                worker,
            };
            Some((candidate.worker.worker, candidate))
        });
        let candidates: BTreeMap<WorkerId, Candidate> = attached.collect();
        if candidates.len() < job.wanted as usize {
            return;
        }
        self.attempts += 1;
        live.was_complete = true;
        let attempt = Attempt {
            term,
            counter: self.attempts,
        };
        let everyone: Vec<WorkerRef> = candidates
            .values()
            .map(|candidate| candidate.worker.clone())
            .collect();
        // A worker that comes and goes begins one attempt after the other: all of them share one deadline.
        let since = *live.forming_since.get_or_insert(self.now);
        live.forming = Some(Forming::begin(attempt, basis(job, candidates), since));
        tracing::info!(job = %id, %attempt, workers = everyone.len(), "attempt begins");
        self.views.mark(id);
        for worker in everyone {
            self.tell(&worker, WorkerDirective::Stop { attempt });
        }
    }

    /// A decision of this leader is in the state.
    pub(super) fn decided(&mut self, id: &JobId, outcome: &Outcome) {
        let live = self.live.entry(id.clone()).or_default();
        live.refused = None;
        match outcome {
            Outcome::Placed(workers) => {
                live.placed_at = Some(self.now);
                tracing::info!(job = %id, workers = workers.len(), "job placed");
            }
            Outcome::Formed(generation) => {
                live.forming = None;
                live.forming_since = None;
                live.trained.clear();
                live.all_trained_at = None;
                tracing::info!(job = %id, %generation, "generation formed");
            }
            Outcome::Done | Outcome::Unchanged | Outcome::Submitted(_) => {}
        }
    }

    /// The state changed between decision and commit; what holds now is decided anew. The same refusal a second time is
    /// a fault of ours, and deciding on would never end.
    pub(super) fn decision_refused(&mut self, id: &JobId, refusal: &Refusal) {
        tracing::warn!(job = %id, %refusal, "decision refused");
        let live = self.live.entry(id.clone()).or_default();
        live.forming = None;
        let before = live.refused.replace(refusal.clone());
        if before.as_ref() == Some(refusal) {
            let text = format!("the coordinator's own decision was refused twice: {refusal}");
            self.note(id, Cause::Decided(text));
        }
    }
}

fn basis(job: &Job, candidates: BTreeMap<WorkerId, Candidate>) -> Basis {
    Basis {
        job: job.id.clone(),
        parent: job.current_generation(),
        dataset: job.dataset.clone(),
        data_shards: job.spec.bounds().data_shards,
        candidates,
    }
}
