//! A session: reports up, directives down, over one stream that heartbeats keep alive.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_stream::Stream;
use tonic::Streaming;

use convoy_common::address::CoordinatorAddress;
use convoy_common::limits::MAX_LOG_READS;

use crate::connection::dial;
use crate::endpoints::Endpoints;
use crate::error::ClientError;
use crate::find::{Failure, Operation, find};
use crate::side::{AgentSide, Side, WorkerSide};

/// A sixth of the silence after which the coordinator gives a peer up.
pub const HEARTBEAT_PERIOD: Duration = Duration::from_millis(500);

/// Reports that may wait for the network. Each is small and they are few per second: a full queue means that the
/// coordinator has stopped reading.
const WAITING_REPORTS: usize = 256;

/// Large reports that may wait for the network: whoever asked for more of them than are under way at most is not waited for.
const WAITING_LARGE_REPORTS: usize = MAX_LOG_READS;

/// The session of an agent.
pub type AgentSession = Session<AgentSide>;

/// The session of a worker.
pub type WorkerSession = Session<WorkerSide>;

/// The session has ended; the report was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session with the coordinator has ended")]
pub struct SessionClosed;

/// One open session. Dropping it breaks the stream off; [`Session::close`] ends it in order.
pub struct Session<S: Side> {
    address: CoordinatorAddress,
    reporter: Reporter<S>,
    directives: Streaming<S::DirectiveMessage>,
    close: oneshot::Sender<()>,
}

impl<S: Side> Session<S> {
    /// Finds the leader, says hello and starts to send heartbeats on a task of its own; must be called within a tokio
    /// runtime. Tries again, with growing and jittered waits, while nobody leads or answers.
    ///
    /// # Errors
    /// If the leader refuses (another protocol version, an evicted incarnation), or nobody leads within `limit`.
    pub async fn open(
        endpoints: &Endpoints,
        hello: S::Hello,
        limit: Duration,
    ) -> Result<Self, ClientError> {
        let operation = Operation::reading(S::OPEN);
        let open = |address| Self::open_at(endpoints, address, hello.clone());
        let (_, session) = find(endpoints, operation, limit, open).await?;
        Ok(session)
    }

    async fn open_at(
        endpoints: &Endpoints,
        address: CoordinatorAddress,
        hello: S::Hello,
    ) -> Result<Self, Failure> {
        let connection = dial(&address, endpoints.key()).await?;
        let (reporter, outgoing, close) = queues::<S>();
        // Room for the first report is certain.
        let _ = reporter.try_send(S::hello(hello));
        let directives = S::call(connection, outgoing)
            .await
            .map_err(|status| Failure::of(&address, S::OPEN, &status))?
            .into_inner();
        tokio::spawn(send_heartbeats::<S>(reporter.queue.downgrade()));
        Ok(Self {
            address,
            reporter,
            directives,
            close,
        })
    }

    /// The coordinator at the other end.
    #[must_use]
    pub fn address(&self) -> &CoordinatorAddress {
        &self.address
    }

    /// Queues a report behind the earlier ones; waits while the queue is full.
    ///
    /// # Errors
    /// If the session has ended.
    pub async fn send(&self, report: S::Report) -> Result<(), SessionClosed> {
        self.reporter.send(report).await
    }

    /// A handle that sends on this session from anywhere.
    #[must_use]
    pub fn reporter(&self) -> Reporter<S> {
        self.reporter.clone()
    }

    /// The next directive; `None` when the coordinator ended the session. Cancelling the wait loses nothing.
    ///
    /// # Errors
    /// If the connection broke, or the directive is of a kind that this version does not know.
    pub async fn next_directive(&mut self) -> Result<Option<S::Directive>, ClientError> {
        let message = self
            .directives
            .message()
            .await
            .map_err(|status| ClientError::from_status(&self.address, S::OPEN, &status))?;
        message
            .map(|message| {
                S::unwrap(message).ok_or_else(|| ClientError::Malformed {
                    address: self.address.clone(),
                    what: "a directive of unknown kind".to_owned(),
                })
            })
            .transpose()
    }

    /// Ends the session in order: what is queued is still sent, later reports are refused, and the coordinator gets up to
    /// `limit` to end its side. Returns whether it did, that is, whether all reports are known to have arrived.
    pub async fn close(mut self, limit: Duration) -> bool {
        // Nobody listens only when the stream is gone already.
        let _ = self.close.send(());
        let drain = async {
            loop {
                match self.directives.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return true,
                    Err(_) => return false,
                }
            }
        };
        timeout(limit, drain).await.unwrap_or(false)
    }
}

impl<S: Side> fmt::Debug for Session<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// Sends reports on a session; see [`Session::reporter`].
pub struct Reporter<S: Side> {
    queue: mpsc::Sender<S::Report>,
    large: mpsc::Sender<S::Report>,
}

impl<S: Side> Clone for Reporter<S> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            large: self.large.clone(),
        }
    }
}

impl<S: Side> Reporter<S> {
    /// Queues a report; waits while the queue is full.
    ///
    /// # Errors
    /// If the session has ended.
    pub async fn send(&self, report: S::Report) -> Result<(), SessionClosed> {
        self.queue.send(report).await.map_err(|_| SessionClosed)
    }

    /// As [`Reporter::send`], for threads outside the runtime.
    ///
    /// # Errors
    /// If the session has ended.
    ///
    /// # Panics
    /// On a thread of the runtime.
    pub fn blocking_send(&self, report: S::Report) -> Result<(), SessionClosed> {
        self.queue.blocking_send(report).map_err(|_| SessionClosed)
    }

    /// Queues a report if there is room, and says whether there was; for reports that a later one makes up for.
    ///
    /// # Errors
    /// If the session has ended.
    pub fn try_send(&self, report: S::Report) -> Result<bool, SessionClosed> {
        offer(&self.queue, report)
    }

    /// As [`Reporter::try_send`], for reports of which each is large and none is urgent: they wait by themselves, and whatever
    /// else is reported goes before them.
    ///
    /// # Errors
    /// If the session has ended.
    pub fn try_send_large(&self, report: S::Report) -> Result<bool, SessionClosed> {
        offer(&self.large, report)
    }

    /// Waits until the session has ended.
    pub async fn closed(&self) {
        self.queue.closed().await;
    }
}

impl<S: Side> fmt::Debug for Reporter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter")
            .field("room", &self.queue.capacity())
            .finish()
    }
}

/// Whether there was room.
fn offer<R>(queue: &mpsc::Sender<R>, report: R) -> Result<bool, SessionClosed> {
    match queue.try_send(report) {
        Ok(()) => Ok(true),
        Err(TrySendError::Full(_)) => Ok(false),
        Err(TrySendError::Closed(_)) => Err(SessionClosed),
    }
}

/// Holds the queue weakly: heartbeats alone must not keep a session open that nobody uses any more.
async fn send_heartbeats<S: Side>(queue: mpsc::WeakSender<S::Report>) {
    let mut ticks = interval(HEARTBEAT_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(queue) = queue.upgrade() else { return };
        // Where the queue is full, a report that says as much is on its way already.
        if offer(&queue, S::heartbeat()).is_err() {
            return;
        }
    }
}

/// Both ends of a session's queues, and what closes them.
fn queues<S: Side>() -> (Reporter<S>, Outgoing<S>, oneshot::Sender<()>) {
    let (queue, queued) = mpsc::channel(WAITING_REPORTS);
    let (large, queued_large) = mpsc::channel(WAITING_LARGE_REPORTS);
    let (close, closing) = oneshot::channel();
    let outgoing = Outgoing {
        queued,
        queued_large,
        closing: Some(closing),
    };
    (Reporter { queue, large }, outgoing, close)
}

/// The reports on their way out; ends after the queued ones once it is told to close. Large ones go when no others wait.
struct Outgoing<S: Side> {
    queued: mpsc::Receiver<S::Report>,
    queued_large: mpsc::Receiver<S::Report>,
    closing: Option<oneshot::Receiver<()>>,
}

impl<S: Side> Stream for Outgoing<S> {
    type Item = S::ReportMessage;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(closing) = self.closing.as_mut()
            && Pin::new(closing).poll(context).is_ready()
        {
            self.closing = None;
            self.queued.close();
            self.queued_large.close();
        }
        let (report, has_ended) = match self.queued.poll_recv(context) {
            Poll::Ready(Some(report)) => return Poll::Ready(Some(S::wrap(report))),
            Poll::Ready(None) => (self.queued_large.poll_recv(context), true),
            Poll::Pending => (self.queued_large.poll_recv(context), false),
        };
        match report {
            Poll::Ready(Some(report)) => Poll::Ready(Some(S::wrap(report))),
            Poll::Ready(None) if has_ended => Poll::Ready(None),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use convoy_proto::v1;
    use convoy_proto::v1::agent_report::Report;
    use tokio_stream::StreamExt as _;

    use super::*;

    fn part(request: u64) -> Report {
        Report::LogRead(v1::LogRead {
            request,
            outcome: None,
        })
    }

    #[tokio::test]
    async fn heartbeat_goes_before_all_large_reports_that_wait() {
        let (reporter, mut outgoing, _close) = queues::<AgentSide>();
        for request in 0..WAITING_LARGE_REPORTS as u64 {
            assert_eq!(reporter.try_send_large(part(request)), Ok(true));
        }
        assert_eq!(reporter.try_send_large(part(9)), Ok(false), "full");
        assert_eq!(reporter.try_send(AgentSide::heartbeat()), Ok(true));
        let first = outgoing.next().await.unwrap().report;
        assert_eq!(first, Some(AgentSide::heartbeat()));
        assert_eq!(outgoing.next().await.unwrap().report, Some(part(0)));
    }

    #[tokio::test]
    async fn queues_end_after_everything_in_them() {
        let (reporter, mut outgoing, close) = queues::<AgentSide>();
        assert_eq!(reporter.try_send_large(part(0)), Ok(true));
        assert_eq!(reporter.try_send(AgentSide::heartbeat()), Ok(true));
        close.send(()).unwrap();
        let first = outgoing.next().await.unwrap().report;
        assert_eq!(first, Some(AgentSide::heartbeat()));
        assert_eq!(outgoing.next().await.unwrap().report, Some(part(0)));
        assert_eq!(outgoing.next().await, None);
        assert_eq!(reporter.try_send_large(part(1)), Err(SessionClosed));
    }
}
