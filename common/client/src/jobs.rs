//! Calls of the command line: submit, watch, cancel, describe.

use std::future::Future;
use std::time::Duration;

use convoy_common::ids::JobId;
use convoy_common::limits::MAX_MESSAGE_BYTES;
use convoy_proto::v1;
use tonic::transport::Channel;
use tonic::{Response, Status, Streaming};

use crate::address::CoordinatorAddress;
use crate::connect::{channel, persist};
use crate::error::ClientError;
use crate::random::random_u64;
use convoy_wire::parse_job_id;

/// A call answered by a healthy coordinator takes milliseconds; this leaves time for a leader change.
const CALL_LIMIT: Duration = Duration::from_secs(10);

type Jobs = v1::jobs_client::JobsClient<Channel>;

/// A connection for calls about jobs. Every call is tried again when the connection breaks; a submission repeated so runs
/// once, because it carries the same client id and sequence number.
#[derive(Clone, Debug)]
pub struct JobsClient {
    address: CoordinatorAddress,
    jobs: Jobs,
    client_id: String,
    submissions: u64,
}

impl JobsClient {
    /// Connects; tries again while nobody answers.
    ///
    /// # Errors
    /// If nobody answers within `limit`.
    pub async fn connect(
        address: &CoordinatorAddress,
        limit: Duration,
    ) -> Result<Self, ClientError> {
        let channel = persist(address, limit, || channel(address, "connect")).await?;
        Ok(Self {
            address: address.clone(),
            jobs: Jobs::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES),
            client_id: format!("{:016x}", random_u64()),
            submissions: 0,
        })
    }

    /// Submits a job to run on exactly `workers` workers. `spec_json` is the checked spec with absolute paths.
    ///
    /// # Errors
    /// If the coordinator refuses the job, with its reason, or can't be reached.
    pub async fn submit(&mut self, spec_json: String, workers: u32) -> Result<JobId, ClientError> {
        self.submissions += 1;
        let request = v1::SubmitRequest {
            client_id: self.client_id.clone(),
            sequence: self.submissions,
            spec_json,
            workers,
        };
        let reply = self
            .call("submit the job", |mut jobs| {
                let request = request.clone();
                async move { jobs.submit(request).await }
            })
            .await?;
        parse_job_id(&reply.job_id).map_err(|error| ClientError::Malformed {
            address: self.address.clone(),
            what: error.to_string(),
        })
    }

    /// Cancels a job; one that has ended stays as it is.
    ///
    /// # Errors
    /// If there is no such job, or the coordinator can't be reached.
    pub async fn cancel(&self, job: &JobId, reason: &str) -> Result<(), ClientError> {
        let request = v1::CancelRequest {
            job_id: job.to_string(),
            reason: reason.to_owned(),
            ..Default::default()
        };
        self.call("cancel the job", |mut jobs| {
            let request = request.clone();
            async move { jobs.cancel(request).await }
        })
        .await?;
        Ok(())
    }

    /// The job as it is now.
    ///
    /// # Errors
    /// If there is no such job, or the coordinator can't be reached.
    pub async fn describe(&self, job: &JobId) -> Result<v1::JobView, ClientError> {
        let request = v1::DescribeRequest {
            job_id: job.to_string(),
        };
        self.call("describe the job", |mut jobs| {
            let request = request.clone();
            async move { jobs.describe(request).await }
        })
        .await
    }

    /// The job as it is now, and again after each change.
    ///
    /// # Errors
    /// If there is no such job, or the coordinator can't be reached.
    pub async fn watch(&self, job: &JobId) -> Result<JobWatch, ClientError> {
        let request = v1::WatchRequest {
            job_id: job.to_string(),
        };
        let views = self
            .call(WATCH, |mut jobs| {
                let request = request.clone();
                async move { jobs.watch(request).await }
            })
            .await?;
        Ok(JobWatch {
            address: self.address.clone(),
            views,
        })
    }

    async fn call<T, Answer>(
        &self,
        operation: &'static str,
        request: impl Fn(Jobs) -> Answer,
    ) -> Result<T, ClientError>
    where
        Answer: Future<Output = Result<Response<T>, Status>>,
    {
        persist(&self.address, CALL_LIMIT, || {
            let answer = request(self.jobs.clone());
            async {
                let answer = answer.await.map(Response::into_inner);
                answer.map_err(|status| ClientError::from_status(&self.address, operation, &status))
            }
        })
        .await
    }
}

const WATCH: &str = "watch the job";

/// The views of a watched job.
#[derive(Debug)]
pub struct JobWatch {
    address: CoordinatorAddress,
    views: Streaming<v1::JobView>,
}

impl JobWatch {
    /// The next view; `None` when the coordinator ended the stream. Cancelling the wait loses nothing.
    ///
    /// # Errors
    /// If the connection broke.
    pub async fn next(&mut self) -> Result<Option<v1::JobView>, ClientError> {
        let view = self.views.message().await;
        view.map_err(|status| ClientError::from_status(&self.address, WATCH, &status))
    }
}
