//! Lists of jobs and nodes, page by page.

use std::sync::Arc;

use convoy_common::ids::{JobId, NodeId};
use convoy_state_machine::view::{JobSummary, NodeView, job_summary, node_view};

use super::{Leader, Refused};
use crate::consensus::Log;

/// Lines of one page: with the longest reasons and all labels, it stays below the limit of a message.
const PAGE_LINES: usize = 500;

/// Some lines of a list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Page<T> {
    pub(crate) lines: Vec<T>,
    /// Whether others follow.
    pub(crate) more: bool,
}

/// What was submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SubmittedSpec {
    pub(crate) json: Arc<str>,
    pub(crate) workers: u32,
}

impl<T> Page<T> {
    fn of(mut lines: impl Iterator<Item = T>) -> Self {
        Self {
            lines: lines.by_ref().take(PAGE_LINES).collect(),
            more: lines.next().is_some(),
        }
    }
}

impl<L: Log> Leader<L> {
    /// Jobs with a larger number, in the order of their submission.
    pub(super) fn list_jobs(&self, open_only: bool, after: u64) -> Page<JobSummary> {
        let jobs = self.cluster.jobs_from(after.saturating_add(1));
        let wanted = jobs.filter(|job| !open_only || !job.phase.is_over());
        Page::of(
            wanted.map(|job| self.look_at(&job.id, |live| job_summary(&self.cluster, job, live))),
        )
    }

    /// Nodes with a larger id.
    pub(super) fn list_nodes(&self, after: Option<&NodeId>) -> Page<NodeView> {
        let view = |(id, node)| node_view(&self.cluster, id, node);
        match after {
            None => Page::of(self.cluster.nodes().map(view)),
            Some(after) => {
                let from = self.cluster.nodes_from(after);
                Page::of(from.filter(|(id, _)| *id != after).map(view))
            }
        }
    }

    pub(super) fn submitted_spec(&self, id: JobId) -> Result<SubmittedSpec, Refused> {
        match self.cluster.job(&id) {
            None => Err(Refused::NoSuchJob { job: id }),
            Some(job) => Ok(SubmittedSpec {
                json: Arc::clone(job.spec.json()),
                workers: job.wanted,
            }),
        }
    }
}
