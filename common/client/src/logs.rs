//! Logs of workers, part by part.

use convoy_common::ids::WorkerRef;
use convoy_proto::v1;
use convoy_proto::v1::read_log_request::From as WireFrom;
use convoy_wire::worker_ref;

use crate::error::ClientError;
use crate::jobs::{CALL_LIMIT, JobsClient, stub};

/// Where a part of a log begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFrom {
    /// So many bytes after the log's beginning.
    Offset(u64),
    /// So many lines before its end, at most [`convoy_common::limits::MAX_TAIL_LINES`].
    LastLines(u32),
}

impl JobsClient {
    /// As much of a worker's log as one message holds, from the node that has it.
    ///
    /// # Errors
    /// If the leader can't be found, or says why there is nothing to show: the node can't be reached, or the worker is
    /// another by now.
    pub async fn read_log(
        &self,
        worker: &WorkerRef,
        from: LogFrom,
    ) -> Result<v1::LogPart, ClientError> {
        let from = match from {
            LogFrom::Offset(offset) => WireFrom::Offset(offset),
            LogFrom::LastLines(lines) => WireFrom::LastLines(lines),
        };
        let request = v1::ReadLogRequest {
            worker: Some(worker_ref(worker)),
            from: Some(from),
        };
        let read = |connection| {
            let request = request.clone();
            async move { stub(connection).read_log(request).await }
        };
        self.caller.ask("show the log", CALL_LIMIT, read).await
    }
}
