//! The two kinds of session, and what differs between them.

use std::future::Future;

use convoy_common::limits::MAX_MESSAGE_BYTES;
use convoy_proto::v1;
use convoy_proto::v1::agents_client::AgentsClient;
use convoy_proto::v1::workers_client::WorkersClient;
use tokio_stream::Stream;
use tonic::{Response, Status, Streaming};

use crate::connection::Connection;

/// Who speaks to the coordinator: what it says first, reports, and is told.
pub trait Side: Sized + Send + Sync + 'static {
    /// The first message.
    type Hello: Clone + Send + Sync;
    /// A report, as the cases of its message.
    type Report: Send + 'static;
    /// A directive, as the cases of its message.
    type Directive: Send + 'static;
    /// The message around a report.
    type ReportMessage: Send + 'static;
    /// The message around a directive.
    type DirectiveMessage: Send + 'static;
    /// What opening the session is called in errors.
    const OPEN: &'static str;

    /// The first message as a report.
    fn hello(hello: Self::Hello) -> Self::Report;
    /// The sign of life.
    fn heartbeat() -> Self::Report;
    /// Wraps a report.
    fn wrap(report: Self::Report) -> Self::ReportMessage;
    /// Unwraps a directive; `None` for a case that this version does not know.
    fn unwrap(message: Self::DirectiveMessage) -> Option<Self::Directive>;
    /// Opens the stream.
    fn call(
        connection: Connection,
        reports: impl Stream<Item = Self::ReportMessage> + Send + 'static,
    ) -> impl Future<Output = Result<Response<Streaming<Self::DirectiveMessage>>, Status>> + Send;
}

/// An agent.
#[derive(Clone, Copy, Debug)]
pub struct AgentSide;

impl Side for AgentSide {
    type Hello = v1::AgentHello;
    type Report = v1::agent_report::Report;
    type Directive = v1::agent_directive::Directive;
    type ReportMessage = v1::AgentReport;
    type DirectiveMessage = v1::AgentDirective;
    const OPEN: &'static str = "hold an agent session";

    fn hello(hello: Self::Hello) -> Self::Report {
        v1::agent_report::Report::Hello(hello)
    }

    fn heartbeat() -> Self::Report {
        v1::agent_report::Report::Heartbeat(v1::Heartbeat {})
    }

    fn wrap(report: Self::Report) -> Self::ReportMessage {
        v1::AgentReport {
            report: Some(report),
        }
    }

    fn unwrap(message: Self::DirectiveMessage) -> Option<Self::Directive> {
        message.directive
    }

    async fn call(
        connection: Connection,
        reports: impl Stream<Item = Self::ReportMessage> + Send + 'static,
    ) -> Result<Response<Streaming<Self::DirectiveMessage>>, Status> {
        AgentsClient::new(connection)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .session(reports)
            .await
    }
}

/// A worker.
#[derive(Clone, Copy, Debug)]
pub struct WorkerSide;

impl Side for WorkerSide {
    type Hello = v1::WorkerHello;
    type Report = v1::worker_report::Report;
    type Directive = v1::worker_directive::Directive;
    type ReportMessage = v1::WorkerReport;
    type DirectiveMessage = v1::WorkerDirective;
    const OPEN: &'static str = "hold a worker session";

    fn hello(hello: Self::Hello) -> Self::Report {
        v1::worker_report::Report::Hello(hello)
    }

    fn heartbeat() -> Self::Report {
        v1::worker_report::Report::Heartbeat(v1::Heartbeat {})
    }

    fn wrap(report: Self::Report) -> Self::ReportMessage {
        v1::WorkerReport {
            report: Some(report),
        }
    }

    fn unwrap(message: Self::DirectiveMessage) -> Option<Self::Directive> {
        message.directive
    }

    async fn call(
        connection: Connection,
        reports: impl Stream<Item = Self::ReportMessage> + Send + 'static,
    ) -> Result<Response<Streaming<Self::DirectiveMessage>>, Status> {
        WorkersClient::new(connection)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .session(reports)
            .await
    }
}
