//! `convoy resubmit`.

use std::process::ExitCode;

use convoy_client::JobsClient;
use convoy_common::limits::MAX_SLOTS;
use convoy_common::spec::{JobSpec, check_message};
use convoy_output::answer;
use convoy_proto::v1;

use super::block_on;
use super::job_error::explained;
use crate::arguments::ResubmitArguments;

/// Submits what was submitted, as a new job; the old one stays as it is.
pub(crate) fn resubmit(arguments: &ResubmitArguments) -> anyhow::Result<ExitCode> {
    let jobs = JobsClient::of(arguments.coordinators.caller()?);
    let old = &arguments.job;
    block_on(async {
        let v1::JobSpecReply { spec_json, workers } = match jobs.spec(old).await {
            Ok(submitted) => submitted,
            Err(error) => return Err(explained(&jobs, old, error).await),
        };
        let workers = arguments.workers.unwrap_or(workers);
        // The same words as `convoy submit` has for too many workers.
        JobSpec::from_json(&spec_json)?.check_workers(workers)?;
        check_message(&spec_json, workers.min(MAX_SLOTS))?;
        answer(jobs.submit(spec_json, workers).await?);
        Ok(ExitCode::SUCCESS)
    })
}
