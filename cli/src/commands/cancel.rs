//! `convoy cancel`.

use std::process::ExitCode;

use convoy_client::JobsClient;
use convoy_common::ids::JobId;
use convoy_output::answer;
use convoy_proto::v1;

use super::block_on;
use super::job_error::explained;
use crate::arguments::CancelArguments;
use crate::words::{one_line, state};

/// Cancels a job; one that is over stays as it is, which is said.
pub(crate) fn cancel(arguments: &CancelArguments) -> anyhow::Result<ExitCode> {
    let jobs = JobsClient::of(arguments.coordinators.caller()?);
    block_on(async {
        let CancelArguments { job, reason, .. } = arguments;
        match cancelled(&jobs, job, reason).await {
            Ok(view) => {
                answer(outcome(&view));
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => Err(explained(&jobs, job, error).await),
        }
    })
}

async fn cancelled(
    jobs: &JobsClient,
    job: &JobId,
    reason: &str,
) -> Result<v1::JobView, convoy_client::ClientError> {
    jobs.cancel(job, reason).await?;
    jobs.describe(job).await
}

fn outcome(view: &v1::JobView) -> String {
    let (job, reason) = (&view.job_id, one_line(&view.reason));
    match view.state() {
        // The reason goes on: "cancelled: ...".
        v1::JobState::Cancelled => format!("job {job} is {reason}"),
        ended @ (v1::JobState::Unspecified
        | v1::JobState::Waiting
        | v1::JobState::Forming
        | v1::JobState::Training
        | v1::JobState::Finished
        | v1::JobState::Failed) => {
            format!(
                "job {job} was {} before, and stays so: {reason}",
                state(ended)
            )
        }
    }
}
