//! What watchers see: the newest view of each job, conflated. A slow watcher misses views, never the newest one. A view that
//! nobody watches is made when somebody asks for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use convoy_common::ids::{Incarnation, JobId, WorkerId, WorkerRef};
use convoy_state_machine::command::Reach;
use convoy_state_machine::job::JobPhase;
use convoy_state_machine::view::{JobView, Live, job_view};
use convoy_state_machine::{Answer, Command, Outcome};
use tokio::sync::watch;

use super::Leader;
use super::live_job::LiveJob;
use crate::consensus::Log;

/// A view with the number of its change.
#[derive(Clone, Debug)]
pub(crate) struct NumberedView {
    /// Of the leader that shows it.
    pub(crate) term: u64,
    pub(crate) revision: u64,
    pub(crate) view: Arc<JobView>,
}

/// The newest view of each job, and which of them are out of date.
#[derive(Debug, Default)]
pub(super) struct Views {
    term: u64,
    newest: BTreeMap<JobId, watch::Sender<NumberedView>>,
    /// Of these the newest view is out of date, and nobody watched when it became so.
    outdated: BTreeSet<JobId>,
    changed: BTreeSet<JobId>,
    /// Changes that come with every step: published once per tick.
    slowly_changed: BTreeSet<JobId>,
}

impl Views {
    pub(super) fn of_term(term: u64) -> Self {
        Self {
            term,
            ..Self::default()
        }
    }

    pub(super) fn mark(&mut self, job: &JobId) {
        self.changed.insert(job.clone());
    }

    /// The job's view changes at the next tick.
    pub(super) fn mark_for_tick(&mut self, job: &JobId) {
        self.slowly_changed.insert(job.clone());
    }

    /// A tick has come.
    pub(super) fn mark_slow(&mut self) {
        self.changed.append(&mut self.slowly_changed);
    }

    pub(super) fn newest(&self, job: &JobId) -> Option<&watch::Sender<NumberedView>> {
        self.newest.get(job)
    }

    /// Whether somebody sees the job's view change.
    fn is_watched(&self, job: &JobId) -> bool {
        let newest = self.newest.get(job);
        newest.is_some_and(|newest| newest.receiver_count() > 0)
    }

    fn publish(&mut self, view: JobView) {
        let Some(newest) = self.newest.get(&view.id) else {
            let (id, first) = (
                view.id.clone(),
                NumberedView {
                    term: self.term,
                    revision: 1,
                    view: Arc::new(view),
                },
            );
            self.newest.insert(id, watch::Sender::new(first));
            return;
        };
        newest.send_if_modified(|numbered| {
            let changes = *numbered.view != view;
            if changes {
                *numbered = NumberedView {
                    term: numbered.term,
                    revision: numbered.revision + 1,
                    view: Arc::new(view),
                };
            }
            changes
        });
    }
}

impl<L: Log> Leader<L> {
    /// Before a command about a node: the jobs that have workers there.
    pub(super) fn mark_node(&mut self, command: &Command) {
        if let Command::RegisterNode { agent, .. } | Command::NodeLost { agent, .. } = command {
            for (_, worker) in self.cluster.holders_on(&agent.node) {
                self.views.mark(&worker.job);
            }
        }
    }

    /// After a command: its job, and the ones that wait for slots when those were given or taken.
    pub(super) fn mark_reached(&mut self, job: Option<&JobId>, reach: Reach, answer: &Answer) {
        if let Some(job) = job {
            self.views.mark(job);
        }
        if let Ok(Outcome::Submitted(job)) = answer {
            self.views.mark(job);
            self.forget_old_jobs();
        }
        if reach == Reach::Queue {
            let open = self.cluster.open_jobs();
            for job in open.filter(|job| job.phase == JobPhase::Waiting) {
                self.views.mark(&job.id);
            }
        }
    }

    /// Forgets what is known about jobs that the state forgot.
    fn forget_old_jobs(&mut self) {
        if self.views.newest.len() > self.cluster.job_count() {
            let cluster = &self.cluster;
            self.views.newest.retain(|id, _| cluster.job(id).is_some());
            self.views.outdated.retain(|id| cluster.job(id).is_some());
            self.live.retain(|id, _| cluster.job(id).is_some());
        }
    }

    /// Publishes the views of jobs that changed, where somebody watches them.
    pub(super) fn publish_changed(&mut self) {
        for id in std::mem::take(&mut self.views.changed) {
            if self.views.is_watched(&id) {
                self.publish(&id);
            } else if self.views.newest(&id).is_some() {
                self.views.outdated.insert(id);
            }
        }
    }

    /// Publishes the view of a job that has none yet, or an old one.
    pub(super) fn publish_now(&mut self, id: &JobId) {
        let is_outdated = self.views.outdated.remove(id) || self.views.changed.contains(id);
        if is_outdated || self.views.newest(id).is_none() {
            self.publish(id);
        }
    }

    fn publish(&mut self, id: &JobId) {
        if let Some(job) = self.cluster.job(id) {
            let view = self.look_at(id, |live| job_view(&self.cluster, job, live));
            self.views.publish(view);
        }
    }

    /// Looks at a job with what this leader knows beyond the state.
    pub(super) fn look_at<T>(&self, id: &JobId, look: impl FnOnce(Live<'_>) -> T) -> T {
        let nothing = LiveJob::default();
        let live = self.live.get(id).unwrap_or(&nothing);
        look(Live {
            attached: &self.attached(id),
            trained: &live.trained,
            forming: live.forming.as_ref(),
            progress: live.progress.as_ref().map(|(_, progress)| progress),
            evidence: &live.evidence,
        })
    }

    /// The job's workers that have a session.
    pub(super) fn attached(&self, job: &JobId) -> BTreeSet<WorkerId> {
        let first = WorkerRef {
            job: job.clone(),
            worker: WorkerId(0),
            incarnation: Incarnation(0),
        };
        let own = self.workers.range(first..).map(|(worker, _)| worker);
        let own = own.take_while(|worker| worker.job == *job);
        own.map(|worker| worker.worker).collect()
    }
}
