//! What watchers see: the newest view of each job, conflated. A slow watcher misses views, never the newest one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use convoy_common::ids::{JobId, WorkerId};
use convoy_state_machine::view::{JobView, Live, job_view};
use tokio::sync::watch;

use super::Leader;
use super::live_job::LiveJob;
use crate::consensus::Log;

/// A view with the number of its change.
#[derive(Clone, Debug)]
pub(crate) struct NumberedView {
    pub(crate) revision: u64,
    pub(crate) view: Arc<JobView>,
}

/// The newest view of each job, and which of them are out of date.
#[derive(Debug, Default)]
pub(super) struct Views {
    newest: BTreeMap<JobId, watch::Sender<NumberedView>>,
    changed: BTreeSet<JobId>,
    /// Changes that come with every step: published once per tick.
    slowly_changed: BTreeSet<JobId>,
}

impl Views {
    pub(super) fn mark(&mut self, job: &JobId) {
        self.changed.insert(job.clone());
    }

    pub(super) fn mark_all<'a>(&mut self, jobs: impl Iterator<Item = &'a JobId>) {
        self.changed.extend(jobs.cloned());
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

    fn publish(&mut self, view: JobView) {
        let Some(newest) = self.newest.get(&view.id) else {
            let (id, first) = (
                view.id.clone(),
                NumberedView {
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
                    revision: numbered.revision + 1,
                    view: Arc::new(view),
                };
            }
            changes
        });
    }
}

impl<L: Log> Leader<L> {
    /// Publishes the views of jobs that changed.
    pub(super) fn publish_changed(&mut self) {
        let nothing = LiveJob::default();
        for id in std::mem::take(&mut self.views.changed) {
            let Some(job) = self.cluster.job(&id) else {
                continue;
            };
            let live = self.live.get(&id).unwrap_or(&nothing);
            let attached = self.attached(&id);
            let live = Live {
                attached: &attached,
                trained: &live.trained,
                forming: live.forming.as_ref(),
                progress: live.progress.as_ref(),
                evidence: &live.evidence,
            };
            self.views.publish(job_view(&self.cluster, job, live));
        }
    }

    /// The job's workers that have a session.
    pub(super) fn attached(&self, job: &JobId) -> BTreeSet<WorkerId> {
        let own = self.workers.keys().filter(|worker| worker.job == *job);
        own.map(|worker| worker.worker).collect()
    }
}
