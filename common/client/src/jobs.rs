//! Calls of the command line about jobs and nodes.

use std::time::Duration;

use convoy_common::ids::JobId;
use convoy_common::limits::MAX_MESSAGE_BYTES;
use convoy_proto::v1;
use convoy_proto::v1::jobs_client::JobsClient as Stub;
use convoy_wire::parse_job_id;

use crate::caller::{Caller, Origin};
use crate::connection::Connection;
use crate::endpoints::Endpoints;
use crate::error::ClientError;
use crate::watch::JobWatch;

/// A call answered by a healthy leader takes milliseconds; this leaves time for a leader change.
pub(crate) const CALL_LIMIT: Duration = Duration::from_secs(10);

/// Calls about jobs, to whoever leads. Each is tried again when the leader is gone; a submission or cancellation repeated so
/// runs once. Clones are one client.
#[derive(Clone, Debug)]
pub struct JobsClient {
    pub(crate) caller: Caller,
}

impl JobsClient {
    /// Connects; tries again while nobody answers.
    ///
    /// # Errors
    /// If nobody answers within `limit`.
    pub async fn connect(endpoints: &Endpoints, limit: Duration) -> Result<Self, ClientError> {
        Caller::connect(endpoints, limit).await.map(Self::of)
    }

    /// Calls by `caller`.
    #[must_use]
    pub fn of(caller: Caller) -> Self {
        Self { caller }
    }

    /// Submits a job to run on exactly `workers` workers. `spec_json` is the checked spec; its relative paths
    /// start from the work folders of the nodes that run it.
    ///
    /// # Errors
    /// If the leader refuses the job, with its reason, or can't be found.
    pub async fn submit(&self, spec_json: String, workers: u32) -> Result<JobId, ClientError> {
        let submit = |connection, origin: Origin| {
            let request = v1::SubmitRequest {
                client_id: origin.client_id,
                sequence: origin.sequence,
                spec_json: spec_json.clone(),
                workers,
            };
            async move { stub(connection).submit(request).await }
        };
        let (address, reply) = self
            .caller
            .command_at("submit the job", CALL_LIMIT, submit)
            .await?;
        parse_job_id(&reply.job_id).map_err(|error| ClientError::Malformed {
            address,
            what: error.to_string(),
        })
    }

    /// Cancels a job; one that has ended stays as it is.
    ///
    /// # Errors
    /// If there is no such job, or the leader can't be found.
    pub async fn cancel(&self, job: &JobId, reason: &str) -> Result<(), ClientError> {
        let cancel = |connection, origin: Origin| {
            let request = v1::CancelRequest {
                job_id: job.to_string(),
                reason: reason.to_owned(),
                client_id: origin.client_id,
                sequence: origin.sequence,
            };
            async move { stub(connection).cancel(request).await }
        };
        self.caller
            .command("cancel the job", CALL_LIMIT, cancel)
            .await?;
        Ok(())
    }

    /// Notes something about a job, in the place of what was noted under this key; without a value, takes the note away.
    ///
    /// # Errors
    /// If the leader refuses, as for a job that it does not know or a note that is too long, or can't be found.
    pub async fn annotate(
        &self,
        job: &JobId,
        key: &str,
        value: Option<&str>,
    ) -> Result<(), ClientError> {
        let annotate = |connection, origin: Origin| {
            let request = v1::AnnotateRequest {
                job_id: job.to_string(),
                key: key.to_owned(),
                value: value.map(str::to_owned),
                client_id: origin.client_id,
                sequence: origin.sequence,
            };
            async move { stub(connection).annotate(request).await }
        };
        self.caller
            .command("annotate the job", CALL_LIMIT, annotate)
            .await?;
        Ok(())
    }

    /// The job as it is now.
    ///
    /// # Errors
    /// If there is no such job, or the leader can't be found.
    pub async fn describe(&self, job: &JobId) -> Result<v1::JobView, ClientError> {
        let describe = |connection| {
            let job_id = job.to_string();
            async move {
                stub(connection)
                    .describe(v1::DescribeRequest { job_id })
                    .await
            }
        };
        self.caller
            .ask("describe the job", CALL_LIMIT, describe)
            .await
    }

    /// All jobs in the order of their submission, or only those that are not over.
    ///
    /// # Errors
    /// If the leader can't be found.
    pub async fn list_jobs(&self, open_only: bool) -> Result<Vec<v1::JobSummary>, ClientError> {
        let mut jobs: Vec<v1::JobSummary> = Vec::new();
        for _ in 0..MAX_PAGES {
            let request = v1::ListJobsRequest {
                open_only,
                after_number: jobs.last().map_or(0, |last| last.number),
            };
            let list = |connection| async move { stub(connection).list_jobs(request).await };
            let page = self.caller.ask("list the jobs", CALL_LIMIT, list).await?;
            // An empty page that promises more would be asked for again without end.
            let more = page.more && !page.jobs.is_empty();
            jobs.extend(page.jobs);
            if !more {
                break;
            }
        }
        Ok(jobs)
    }

    /// All nodes by their ids.
    ///
    /// # Errors
    /// If the leader can't be found.
    pub async fn list_nodes(&self) -> Result<Vec<v1::NodeView>, ClientError> {
        let mut nodes: Vec<v1::NodeView> = Vec::new();
        for _ in 0..MAX_PAGES {
            let after = nodes.last().map(|last| last.node_id.clone());
            let request = v1::ListNodesRequest {
                after_node_id: after.unwrap_or_default(),
            };
            let list = |connection| {
                let request = request.clone();
                async move { stub(connection).list_nodes(request).await }
            };
            let page = self.caller.ask("list the nodes", CALL_LIMIT, list).await?;
            let more = page.more && !page.nodes.is_empty();
            nodes.extend(page.nodes);
            if !more {
                break;
            }
        }
        Ok(nodes)
    }

    /// What was submitted.
    ///
    /// # Errors
    /// If there is no such job, or the leader can't be found.
    pub async fn spec(&self, job: &JobId) -> Result<v1::JobSpecReply, ClientError> {
        let spec = |connection| {
            let job_id = job.to_string();
            async move {
                stub(connection)
                    .job_spec(v1::JobSpecRequest { job_id })
                    .await
            }
        };
        self.caller
            .ask("show the job's spec", CALL_LIMIT, spec)
            .await
    }

    /// The job as it is now, and again after each change; goes on at the new leader when there is another.
    ///
    /// # Errors
    /// If there is no such job, or the leader can't be found.
    pub async fn watch(&self, job: &JobId) -> Result<JobWatch, ClientError> {
        JobWatch::begin(self.caller.clone(), job, CALL_LIMIT).await
    }
}

/// Pages of a list that are read: a coordinator that shows more has no end.
const MAX_PAGES: u32 = 1_000;

pub(crate) fn stub(connection: Connection) -> Stub<Connection> {
    Stub::new(connection).max_decoding_message_size(MAX_MESSAGE_BYTES)
}
