//! What workers report.

use convoy_common::ids::{Attempt, Generation, Position, WorkerRef};
use convoy_state_machine::cause::Cause;
use convoy_state_machine::command::Fence;
use convoy_state_machine::job::Job;
use convoy_state_machine::membership::{Disagreement, Forming, Next};
use convoy_state_machine::records::{GenerationRecord, Progress};
use convoy_state_machine::{Command, Refusal};

use super::silence::Peer;
use super::{Leader, SessionId, SliceWritten, Waiting, WorkerDirective, WorkerReport};
use crate::config::ms;
use crate::consensus::Log;

impl<L: Log> Leader<L> {
    pub(super) fn worker_reports(
        &mut self,
        worker: &WorkerRef,
        session: SessionId,
        report: WorkerReport,
    ) {
        let known = self.workers.get(worker);
        if known.is_none_or(|known| known.id != session) {
            return;
        }
        self.silence.heard(Peer::Worker(worker.clone()), self.now);
        match report {
            WorkerReport::Heartbeat => {}
            WorkerReport::Stopped { attempt, standing } => {
                self.answered(worker, attempt, |forming| {
                    forming.stopped(worker, attempt, standing)
                });
            }
            WorkerReport::Ready {
                attempt,
                state_digest,
            } => {
                self.answered(worker, attempt, |forming| {
                    forming.ready(worker, attempt, state_digest)
                });
            }
            WorkerReport::Broken { attempt, reason } => self.broken(worker, attempt, reason),
            WorkerReport::Progress(progress) => self.progressed(worker, progress),
            WorkerReport::Evaluated {
                generation,
                evaluation,
            } => {
                self.ensure_started(worker, generation);
                self.propose_report(worker, generation, |by| Command::RecordEvaluation {
                    by,
                    evaluation,
                });
            }
            WorkerReport::SliceWritten(slice) => self.slice_written(worker, slice),
            WorkerReport::ManifestWritten { generation, step } => {
                self.propose_report(worker, generation, |by| Command::ManifestWritten {
                    by,
                    step,
                });
            }
            WorkerReport::Trained {
                generation,
                position,
            } => {
                self.trained(worker, generation, position);
            }
            WorkerReport::Failed { reason } => {
                let cause = Cause::Failed {
                    worker: worker.worker,
                    reason,
                };
                self.note(&worker.job, cause);
            }
        }
    }

    /// Proposes what a worker reported about a generation; the state checks again whether its words count.
    fn propose_report(
        &mut self,
        worker: &WorkerRef,
        generation: Generation,
        command: impl FnOnce(Fence) -> Command,
    ) {
        match self.fence(worker, generation) {
            Some(by) => self.propose(command(by), Waiting::Report(worker.clone())),
            None => {
                tracing::info!(%worker, %generation, "report about an unknown generation is not used");
            }
        }
    }

    /// What fences a worker's report about this generation; none if there is no such generation.
    fn fence(&self, worker: &WorkerRef, generation: Generation) -> Option<Fence> {
        let attempt = self.generation(worker, generation)?.attempt;
        Some(Fence {
            worker: worker.clone(),
            generation,
            attempt,
        })
    }

    /// Hands an answer to the attempt that is going on, if there is one.
    fn answered(
        &mut self,
        worker: &WorkerRef,
        attempt: Attempt,
        answer: impl FnOnce(&mut Forming) -> Result<Next, Box<Disagreement>>,
    ) {
        let live = self.live.entry(worker.job.clone()).or_default();
        let next = live.forming.as_mut().map(answer);
        self.formed_further(worker, attempt, next);
    }

    /// Does what follows from an answer to Stop or Prepare.
    fn formed_further(
        &mut self,
        worker: &WorkerRef,
        attempt: Attempt,
        next: Option<Result<Next, Box<Disagreement>>>,
    ) {
        match next {
            None => tracing::info!(%worker, %attempt, "answer not used: no attempt is going on"),
            Some(Ok(Next::Wait)) => self.views.mark(&worker.job),
            Some(Ok(Next::Ignore(stale))) => tracing::info!(%stale, "answer not used"),
            Some(Ok(Next::Prepare(plan))) => {
                self.views.mark(&worker.job);
                for member in plan.members.clone() {
                    let directive = WorkerDirective::Prepare {
                        attempt,
                        plan: plan.clone(),
                    };
                    self.tell(&member.worker, directive);
                }
            }
            Some(Ok(Next::Form(formation))) => {
                let job = formation.job.clone();
                self.propose(Command::FormGeneration(formation), Waiting::Decision(job));
            }
            Some(Err(disagreement)) => {
                self.note(&worker.job, Cause::Decided(disagreement.to_string()));
            }
        }
    }

    fn broken(&mut self, worker: &WorkerRef, attempt: Attempt, reason: String) {
        let forming = self
            .live
            .get(&worker.job)
            .and_then(|live| live.forming.as_ref());
        let current = self.cluster.job(&worker.job).map(Job::current_attempt);
        if forming.is_some_and(|forming| forming.attempt() == attempt) || current == Some(attempt) {
            self.note(
                &worker.job,
                Cause::Broken {
                    worker: worker.worker,
                    reason,
                },
            );
        } else {
            let current = current.unwrap_or_default();
            tracing::info!(%worker, given = %attempt, %current, reason, "a collective of another attempt broke");
        }
    }

    fn progressed(&mut self, worker: &WorkerRef, mut progress: Progress) {
        let generation = progress.position.generation;
        if !self.is_member_of(worker, generation) {
            tracing::debug!(%worker, %generation, "progress of another generation is not used");
            return;
        }
        self.ensure_started(worker, generation);
        let recorded = self
            .cluster
            .job(&worker.job)
            .and_then(|job| job.progress.as_ref());
        let recorded_waits = recorded.map_or(0, |recorded| recorded.coordinator_waits);
        let live = self.live.entry(worker.job.clone()).or_default();
        let waits = &mut live.coordinator_waits;
        waits.insert(worker.worker, progress.coordinator_waits);
        // Workers say it of themselves; a new leader hears of them one by one.
        progress.coordinator_waits = waits
            .values()
            .fold(0, |sum: u64, waits| sum.saturating_add(*waits))
            .max(recorded_waits);
        let newest = live.progress.as_ref().map(|(_, newest)| newest.position);
        if newest.is_none_or(|newest| progress.position >= newest) {
            live.progress = Some((worker.clone(), progress));
            self.views.mark_for_tick(&worker.job);
        }
    }

    fn slice_written(&mut self, worker: &WorkerRef, written: SliceWritten) {
        let SliceWritten { key, report } = written;
        let Some(generation) = self.generation(worker, key.generation) else {
            tracing::info!(%worker, generation = %key.generation, "slice of an unknown generation is not used");
            return;
        };
        let members = generation.members.len();
        let member = generation
            .members
            .iter()
            .find(|member| member.worker == *worker);
        let (given, own) = (report.slice.rank, member.map(|member| member.rank));
        if own != Some(given) {
            let own = own.map_or_else(|| "none".to_owned(), |own| own.to_string());
            let text = format!("{worker} reported a slice of rank {given}, its rank is {own}");
            return self.note(&worker.job, Cause::Decided(text));
        }
        self.ensure_started(worker, key.generation);
        let live = self.live.entry(worker.job.clone()).or_default();
        if let Some(command) = live.slices.written(worker, key, report, members) {
            self.propose(command, Waiting::Report(worker.clone()));
        }
    }

    fn trained(&mut self, worker: &WorkerRef, generation: Generation, position: Position) {
        if !self.is_member_of(worker, generation) {
            tracing::info!(%worker, %generation, step = %position.step, "end of another generation is not used");
            return;
        }
        self.ensure_started(worker, generation);
        let live = self.live.entry(worker.job.clone()).or_default();
        live.trained.insert(worker.worker);
        self.views.mark(&worker.job);
        self.attention = true;
    }

    /// Whether `worker` is a member of `generation`, and that is the current one.
    fn is_member_of(&self, worker: &WorkerRef, generation: Generation) -> bool {
        let current = self.cluster.job(&worker.job).map(Job::current_generation);
        let record = self.generation(worker, generation);
        let mut members = record.into_iter().flat_map(|record| &record.members);
        current == Some(generation) && members.any(|member| member.worker == *worker)
    }

    fn generation(&self, worker: &WorkerRef, number: Generation) -> Option<&GenerationRecord> {
        self.cluster.job(&worker.job)?.generation(number)
    }

    /// The first report of work in a generation starts it.
    fn ensure_started(&mut self, worker: &WorkerRef, generation: Generation) {
        let record = self.generation(worker, generation);
        let is_new = record.is_some_and(|record| !record.started);
        if is_new
            && self.is_member_of(worker, generation)
            && let Some(by) = self.fence(worker, generation)
        {
            self.propose(Command::GenerationStarted { by }, Waiting::Nobody);
        }
    }

    /// The job would wait for ever for what a refused report stood for, unless the report came from the past.
    pub(super) fn report_refused(&mut self, worker: &WorkerRef, refusal: &Refusal) {
        if refusal.is_stale() {
            tracing::info!(%worker, %refusal, "report not used");
            return;
        }
        let text = format!("a report of {worker} was refused: {refusal}");
        self.note(&worker.job, Cause::Decided(text));
    }

    /// Records how far jobs are, seldom: after a change of leaders, this is what is known.
    pub(super) fn record_progress(&mut self) {
        let every_ms = ms(self.timings.progress_record);
        let mut due = Vec::new();
        for (id, live) in &mut self.live {
            let (Some((worker, progress)), Some(job)) = (&live.progress, self.cluster.job(id))
            else {
                continue;
            };
            let recorded = job.progress.as_ref().map(|recorded| recorded.position);
            let last = live.progress_recorded_at;
            let early = last.is_some_and(|last| self.now.ms_since(last) < every_ms);
            if early || job.phase.is_over() || recorded >= Some(progress.position) {
                continue;
            }
            live.progress_recorded_at = Some(self.now);
            due.push((worker.clone(), progress.clone()));
        }
        for (worker, progress) in due {
            if let Some(by) = self.fence(&worker, progress.position.generation) {
                self.propose(Command::RecordProgress { by, progress }, Waiting::Nobody);
            }
        }
    }
}
