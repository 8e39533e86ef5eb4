//! Whether this coordinator leads, and what begins and ends with that.

use convoy_consensus::{ReplicaId, Role};
use convoy_state_machine::job::{Job, JobPhase};
use convoy_state_machine::node::NodeState;
use convoy_state_machine::time::Moment;

use super::session::Outbound;
use super::silence::{Peer, SilenceDetector};
use super::views::Views;
use super::{AgentDirective, Event, Leader, Refused, WorkerDirective};
use crate::config::ms;
use crate::consensus::Log;

/// What came before this leader may act is kept for it, up to so many events: more than one each from many peers is a flood.
const MOST_EARLY: usize = 4_096;

/// Sessions wait so long to be told who leads now.
const PARTING_MS: u64 = 500;

/// Whether this coordinator leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    #[default]
    Follows,
    /// Elected, but what earlier leaders acknowledged may not be applied yet.
    Elected { term: u64 },
    /// Acts.
    Leads { term: u64 },
}

/// Sessions of a leadership that is over, until it is known who leads now.
#[derive(Debug, Default)]
pub(super) struct Parting {
    agents: Vec<Outbound<AgentDirective>>,
    workers: Vec<Outbound<WorkerDirective>>,
    since: Moment,
}

impl<L: Log> Leader<L> {
    pub(super) fn leads(&self) -> bool {
        matches!(self.standing, Standing::Leads { .. })
    }

    /// The term of this leadership; of none, 0.
    pub(super) fn term(&self) -> u64 {
        match self.standing {
            Standing::Follows => 0,
            Standing::Elected { term } | Standing::Leads { term } => term,
        }
    }

    /// What is to be handled now: what only a leader may do is kept for it, or refused.
    pub(super) fn admitted(&mut self, event: Event) -> Option<Event> {
        match (self.standing, &event) {
            (Standing::Leads { .. }, _) => return Some(event),
            // Everyone may know the coordinators; of sessions, none is left to hear of.
            (
                _,
                Event::Log(_)
                | Event::Introduced { .. }
                | Event::Tick
                | Event::Shutdown
                | Event::AgentReport { .. }
                | Event::AgentDetached { .. }
                | Event::WorkerReport { .. }
                | Event::WorkerDetached { .. },
            ) => return Some(event),
            (_, Event::Member(request)) if request.is_for_anyone() => return Some(event),
            (Standing::Elected { .. }, _) if self.early.len() < MOST_EARLY => {
                self.early.push(event);
                return None;
            }
            (
                Standing::Elected { .. } | Standing::Follows,
                Event::Client(_)
                | Event::Member(_)
                | Event::AgentAttach(_)
                | Event::WorkerAttach(_),
            ) => {}
        }
        event.refuse(self.not_leader());
        None
    }

    pub(super) fn not_leader(&self) -> Refused {
        Refused::NotLeader {
            leader: self.directory.other_leader(),
        }
    }

    pub(super) fn role_changed(&mut self, role: Role) {
        match role {
            Role::Leader {
                term,
                is_settled: true,
            } => {
                if self.standing == (Standing::Leads { term }) {
                    return;
                }
                // Who was elected keeps what came meanwhile.
                if self.standing != (Standing::Elected { term }) {
                    self.step_down();
                }
                self.take_over(term);
            }
            Role::Leader {
                term,
                is_settled: false,
            } => {
                self.step_down();
                self.standing = Standing::Elected { term };
            }
            Role::Follower { leader, .. } => {
                self.step_down();
                let other = leader.filter(|leader| *leader != self.directory.own_id());
                if let Some(leader) = other {
                    self.end_parting(Some(leader));
                }
            }
            Role::Candidate { .. } => self.step_down(),
        }
    }

    /// Begins to act. Whoever was heard by the leader before gets one extra grace period to be heard here.
    fn take_over(&mut self, term: u64) {
        tracing::info!(term, jobs = self.cluster.job_count(), "leads");
        self.standing = Standing::Leads { term };
        self.attempts = 0;
        self.views = Views::of_term(term);
        self.silence = SilenceDetector::new(ms(self.timings.silence));
        for (node, known) in self.cluster.nodes() {
            match known.state {
                NodeState::Alive => self.silence.expect(Peer::Node(node.clone()), self.now),
                NodeState::Lost { .. } => {}
            }
        }
        let training = self.cluster.open_jobs();
        for job in training.filter(|job| job.phase == JobPhase::Training) {
            for worker in job.live_workers().filter(|worker| is_member(job, worker)) {
                self.silence.expect(Peer::Worker(worker), self.now);
            }
        }
        // Workers of jobs that are over get the time to end by themselves anew.
        for (_, _, worker) in self.cluster.slot_holders() {
            let job = self.cluster.job(&worker.job);
            if job.is_some_and(|job| job.phase.is_over()) {
                let live = self.live.entry(worker.job.clone()).or_default();
                live.over_since = Some(self.now);
            }
        }
        self.attention = true;
        for event in std::mem::take(&mut self.early) {
            self.take(event);
        }
    }

    /// Ends what a leadership knows beyond the state. Proposals that wait are rejected by the log.
    fn step_down(&mut self) {
        if self.leads() {
            tracing::info!(
                term = self.term(),
                agents = self.agents.len(),
                workers = self.workers.len(),
                "leads no longer"
            );
            let agents = std::mem::take(&mut self.agents).into_values();
            let workers = std::mem::take(&mut self.workers).into_values();
            self.parting
                .agents
                .extend(agents.map(|agent| agent.outbound));
            self.parting
                .workers
                .extend(workers.map(|worker| worker.outbound));
            self.parting.since = self.now;
        }
        self.standing = Standing::Follows;
        self.live.clear();
        self.views = Views::default();
        self.deciding.clear();
        self.again.clear();
        self.membership.end_term();
        self.attention = false;
        let refused = self.not_leader();
        for event in std::mem::take(&mut self.early) {
            event.refuse(refused.clone());
        }
        self.refuse_reads(&refused);
        self.refuse_log_reads(&refused);
    }

    /// Sessions that have waited long enough end without a name.
    pub(super) fn part(&mut self) {
        if self.now.ms_since(self.parting.since) >= PARTING_MS {
            self.end_parting(None);
        }
    }

    fn end_parting(&mut self, leader: Option<ReplicaId>) {
        let parting = std::mem::take(&mut self.parting);
        let why = Refused::NotLeader {
            leader: leader.and_then(|leader| self.directory.address_of(leader)),
        };
        for agent in parting.agents {
            agent.close(why.clone());
        }
        for worker in parting.workers {
            worker.close(why.clone());
        }
    }
}

/// Whether a worker was heard by the leader that formed the newest generation. One that was not may still be starting, and
/// has its own deadline.
fn is_member(job: &Job, worker: &convoy_common::ids::WorkerRef) -> bool {
    let newest = job.newest_generation();
    newest.is_some_and(|newest| newest.members.iter().any(|member| member.worker == *worker))
}
