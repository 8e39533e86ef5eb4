//! What is said where a job is not there.

use anyhow::anyhow;
use convoy_client::{ClientError, JobsClient};
use convoy_common::ids::JobId;
use convoy_common::nearest;

/// The error of a command about `job`; where there is no such job, with the one that may have been meant.
pub(super) async fn explained(jobs: &JobsClient, job: &JobId, error: ClientError) -> anyhow::Error {
    if error.is_not_found() {
        unknown(jobs, job).await
    } else {
        error.into()
    }
}

async fn unknown(jobs: &JobsClient, job: &JobId) -> anyhow::Error {
    // Only to be helpful: if this fails too, the command's own error is the one that matters.
    let known = jobs.list_jobs(false).await.unwrap_or_default();
    let names = known.iter().map(|known| known.job_id.as_str());
    match nearest(job.as_str(), names) {
        Some(meant) => anyhow!("there is no job {job}; did you mean {meant}?"),
        None => anyhow!("there is no job {job}; `convoy ps --all` lists those that there are"),
    }
}
