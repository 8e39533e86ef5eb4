//! The leader loop: one task owns the state, and everything that happens reaches it as an [`Event`].
//!
//! [`Leader::handle`] is a plain function of the event and the time: it applies committed commands, and while this
//! coordinator leads it decides what follows, serves sessions and tells peers what the state owes them. It never waits;
//! [`run`] around it does.
//!
//! **Invariant:** only a leader that has applied an entry of its own term acts ([`standing`]); what it knows beyond the
//! state ends with its term.

mod agents;
mod clients;
mod clock;
mod decide;
mod event;
mod lists;
mod live_job;
mod log_events;
mod logs;
mod members;
mod perform;
mod reads;
mod refused;
mod reports;
mod session;
mod silence;
mod standing;
mod views;
mod workers;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use convoy_common::ids::{JobId, NodeId, ReplicaId as MemberId, WorkerRef};
use convoy_state_machine::cause::Cause;
use convoy_state_machine::job::JobPhase;
use convoy_state_machine::replica::Replica as Member;
use convoy_state_machine::time::Moment;
use convoy_state_machine::{Answer, Cluster, Envelope};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::config::{Timings, ms};
use crate::consensus::{Log, LogEvent, ProposalId};
use crate::replication::{Directory, Failure};

use clock::PatientClock;
pub(crate) use event::{
    AgentAttach, AgentDirective, AgentHello, AgentReport, ClientRequest, DesiredWorker, Detached,
    Event, KnownMembers, MemberRequest, Note, ReplaceProgress, Reply, SliceWritten, Submission,
    WorkerAttach, WorkerDirective, WorkerHello, WorkerReport,
};
pub(crate) use lists::{Page, SubmittedSpec};
use live_job::LiveJob;
use logs::LogReads;
pub(crate) use logs::{LogFrom, LogPart, LogWanted};
use members::{MemberStep, Membership};
use reads::Reads;
pub(crate) use refused::Refused;
use session::{AgentSession, WorkerSession};
pub(crate) use session::{Next, Outbound, Outgoing, SessionId, channel};
use silence::{Peer, SilenceDetector};
use standing::{Parting, Standing};
pub(crate) use views::NumberedView;
use views::Views;

/// Owner of the state and of everything a leader knows beyond it.
pub(crate) struct Leader<L> {
    log: L,
    cluster: Cluster,
    /// The state is the one after this entry.
    applied: u64,
    standing: Standing,
    directory: Directory,
    membership: Membership,
    failure: Failure,
    timings: Timings,
    shutdown_ends_agents: bool,
    clock: PatientClock,
    now: Moment,
    agents: BTreeMap<NodeId, AgentSession>,
    workers: BTreeMap<WorkerRef, WorkerSession>,
    live: BTreeMap<JobId, LiveJob>,
    silence: SilenceDetector,
    views: Views,
    /// What is to be done when a proposal's fate is known.
    waiting: BTreeMap<ProposalId, Pending>,
    /// Commands that were not accepted and must not be lost; proposed again at the next tick.
    again: Vec<(Envelope, Waiting)>,
    reads: Reads,
    log_reads: LogReads,
    /// What came before this leader may act.
    early: Vec<Event>,
    /// Sessions of a leadership that is over.
    parting: Parting,
    /// Jobs about which a decision of this leader is in flight.
    deciding: BTreeSet<JobId>,
    /// Attempts of this leadership so far.
    attempts: u64,
    /// Whether decisions and what is owed must be looked at again: not after every heartbeat.
    attention: bool,
}

/// Who waits for a proposal's fate.
enum Waiting {
    Submit(Reply<JobId>),
    /// A client that only needs to know that it is done.
    Client(Reply<()>),
    Register(Box<AgentAttach>),
    /// The leader's own decision about a job; no other is made about it meanwhile.
    Decision(JobId),
    /// A worker's report that the job can't go on without.
    Report(WorkerRef),
    /// A step of a change of coordinators.
    Member(MemberStep),
    /// Nobody; a refusal is only logged.
    Nobody,
}

/// A proposal whose fate is not known.
struct Pending {
    waiting: Waiting,
    /// The command, where it must not be lost although nobody would send it again.
    command: Option<Envelope>,
}

/// What a leader loop begins with.
pub(crate) struct Beginning<L> {
    pub(crate) log: L,
    pub(crate) cluster: Cluster,
    pub(crate) directory: Directory,
    /// This coordinator, as the others should know it.
    pub(crate) introduction: (MemberId, Member),
    pub(crate) timings: Timings,
    pub(crate) shutdown_ends_agents: bool,
    pub(crate) failure: Failure,
}

/// Drives `leader` until it is told to shut down, or log or peers can't reach it any more.
pub(crate) async fn run<L: Log>(
    mut leader: Leader<L>,
    mut log: mpsc::Receiver<Vec<LogEvent>>,
    mut inbox: mpsc::Receiver<Event>,
) {
    let began = Instant::now();
    let mut ticks = tokio::time::interval(leader.timings.tick);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let event = tokio::select! {
            biased;
            // What is committed comes first: answers wait for it.
            events = log.recv() => match events {
                None => return leader.shutdown(),
                Some(events) => Event::Log(events),
            },
            _ = ticks.tick() => Event::Tick,
            event = inbox.recv() => match event {
                None | Some(Event::Shutdown) => return leader.shutdown(),
                Some(event) => event,
            },
        };
        leader.handle(event, Moment::from_ms(ms(began.elapsed())));
    }
}

impl<L: Log> Leader<L> {
    /// A coordinator that has not heard yet who leads.
    pub(crate) fn new(beginning: Beginning<L>) -> Self {
        let Beginning {
            mut log,
            cluster,
            directory,
            introduction,
            timings,
            shutdown_ends_agents,
            failure,
        } = beginning;
        log.publish_addresses(&cluster);
        Self {
            log,
            cluster,
            applied: 0,
            standing: Standing::default(),
            directory,
            membership: Membership::of(introduction),
            failure,
            silence: SilenceDetector::new(ms(timings.silence)),
            clock: PatientClock::new(ms(timings.tick)),
            timings,
            shutdown_ends_agents,
            now: Moment::default(),
            agents: BTreeMap::new(),
            workers: BTreeMap::new(),
            live: BTreeMap::new(),
            views: Views::default(),
            waiting: BTreeMap::new(),
            again: Vec::new(),
            reads: Reads::default(),
            log_reads: LogReads::default(),
            early: Vec::new(),
            parting: Parting::default(),
            deciding: BTreeSet::new(),
            attempts: 0,
            attention: false,
        }
    }

    /// Takes one event at `now`, and does everything that follows from it. Ticks come regularly; a gap means that this process
    /// did not run.
    pub(crate) fn handle(&mut self, event: Event, now: Moment) {
        self.now = self.clock.at(now);
        self.hear_log();
        self.take(event);
        self.settle();
    }

    fn take(&mut self, event: Event) {
        let Some(event) = self.admitted(event) else {
            return;
        };
        match event {
            Event::Log(events) => {
                for event in events {
                    self.log_says(event);
                }
            }
            Event::Client(request) => self.client(request),
            Event::Member(request) => self.member_requested(request),
            Event::Introduced {
                replica,
                member,
                reply,
            } => reply.give(self.introduced(replica, member)),
            Event::AgentAttach(attach) => self.agent_attaches(attach),
            Event::AgentReport {
                node,
                session,
                report,
            } => {
                self.agent_reports(&node, session, report);
            }
            Event::AgentDetached { node, session, why } => {
                self.agent_detached(&node, session, &why);
            }
            Event::WorkerAttach(attach) => self.worker_attaches(attach),
            Event::WorkerReport {
                worker,
                session,
                report,
            } => {
                self.worker_reports(&worker, session, report);
            }
            Event::WorkerDetached {
                worker,
                session,
                why,
            } => {
                self.worker_detached(&worker, session, &why);
            }
            Event::Tick => self.tick(),
            Event::Shutdown => {}
        }
    }

    fn hear_log(&mut self) {
        while let Some(event) = self.log.next_event() {
            self.log_says(event);
        }
    }

    /// Applies what is committed and decides what follows, until nothing does; then tells everyone.
    fn settle(&mut self) {
        loop {
            self.hear_log();
            if !self.attention || !self.leads() {
                break;
            }
            self.attention = false;
            self.decide();
            self.perform();
        }
        self.publish_changed();
    }

    fn propose(&mut self, envelope: impl Into<Envelope>, waiting: Waiting) {
        let envelope = envelope.into();
        if let Waiting::Decision(job) = &waiting {
            self.deciding.insert(job.clone());
        }
        let is_kept = matches!(waiting, Waiting::Report(_) | Waiting::Nobody);
        let command = is_kept.then(|| envelope.clone());
        let proposal = self.log.propose(envelope);
        self.waiting.insert(proposal, Pending { waiting, command });
    }

    fn take_pending(&mut self, proposal: ProposalId) -> Option<Pending> {
        let pending = self.waiting.remove(&proposal)?;
        if let Waiting::Decision(job) = &pending.waiting {
            self.deciding.remove(job);
        }
        Some(pending)
    }

    fn answer(&mut self, waiting: Waiting, answer: Answer, job: Option<JobId>) {
        match (waiting, answer) {
            (Waiting::Submit(reply), answer) => self.submitted(reply, answer),
            (Waiting::Client(reply), answer) => reply.give(clients::done(answer)),
            (Waiting::Register(attach), answer) => self.registered(*attach, answer),
            (Waiting::Decision(job), Ok(outcome)) => self.decided(&job, &outcome),
            (Waiting::Decision(job), Err(refusal)) => self.decision_refused(&job, &refusal),
            (Waiting::Report(worker), Err(refusal)) => self.report_refused(&worker, &refusal),
            (Waiting::Member(step), answer) => self.member_answered(step, answer),
            (Waiting::Nobody, Err(refusal)) if refusal.is_stale() => {
                tracing::info!(%refusal, "command of the past refused");
            }
            (Waiting::Nobody, Err(refusal)) => tracing::warn!(%refusal, "command refused"),
            (Waiting::Report(_) | Waiting::Nobody, Ok(_)) => {}
        }
        if let Some(job) = job.filter(|_| self.leads()) {
            self.note_end(&job);
        }
    }

    /// Remembers when a job's end was seen, once.
    fn note_end(&mut self, id: &JobId) {
        let Some(job) = self.cluster.job(id).filter(|job| job.phase.is_over()) else {
            return;
        };
        let live = self.live.entry(id.clone()).or_default();
        if live.over_since.is_none() {
            live.over_since = Some(self.now);
            live.forming = None;
            let reason = convoy_state_machine::actions::outcome(job);
            match job.phase {
                JobPhase::Failed { .. } => tracing::error!(job = %id, %reason, "job failed"),
                JobPhase::Finished { .. } | JobPhase::Cancelled { .. } => {
                    tracing::info!(job = %id, phase = %job.phase, %reason, "job is over");
                }
                JobPhase::Waiting | JobPhase::Forming | JobPhase::Training => {}
            }
        }
    }

    /// Adds evidence about the trouble of a job that is not over.
    fn note(&mut self, job: &JobId, cause: Cause) {
        if self.cluster.job(job).is_none_or(|job| job.phase.is_over()) {
            return;
        }
        tracing::warn!(%job, ?cause, "trouble");
        self.live
            .entry(job.clone())
            .or_default()
            .evidence
            .note(cause, self.now);
        self.views.mark(job);
        self.attention = true;
    }

    fn tick(&mut self) {
        self.part();
        if !self.leads() {
            return;
        }
        for (envelope, waiting) in std::mem::take(&mut self.again) {
            self.propose(envelope, waiting);
        }
        self.look_after_members();
        self.give_up_log_reads();
        for (peer, silent_ms) in self.silence.lost(self.now) {
            match peer {
                Peer::Node(node) => self.agent_silent(&node, silent_ms),
                Peer::Worker(worker) => self.worker_silent(&worker, silent_ms),
            }
        }
        self.record_progress();
        self.views.mark_slow();
        self.attention = true;
    }

    /// Ends all sessions: queued directives still reach their peers, then the streams end.
    fn shutdown(mut self) {
        if self.shutdown_ends_agents {
            for agent in self.agents.values_mut() {
                let reason = "the coordinator shuts down".to_owned();
                let _ = agent.outbound.send(AgentDirective::Shutdown { reason });
            }
        }
        tracing::info!(
            agents = self.agents.len(),
            workers = self.workers.len(),
            "coordinator shuts down"
        );
    }
}
