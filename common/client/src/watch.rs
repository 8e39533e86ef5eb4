//! The views of a watched job, across leaders.

use std::time::Duration;

use convoy_common::address::CoordinatorAddress;
use convoy_common::ids::JobId;
use convoy_common::limits::MAX_MESSAGE_BYTES;
use convoy_proto::v1;
use convoy_proto::v1::jobs_client::JobsClient;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tonic::Streaming;

use crate::backoff::wait_after;
use crate::caller::Caller;
use crate::error::ClientError;
use crate::find::Operation;
use crate::random::random_u64;

const WATCH: &str = "watch the job";

/// Without a leader for so long, nobody wants to look on any longer.
const WATCH_LIMIT: Duration = Duration::from_secs(60);

/// The views of a watched job. When the coordinator that showed them is gone, the new leader shows the whole view again; no
/// view is older than one before it.
#[derive(Debug)]
pub struct JobWatch {
    views: mpsc::Receiver<Result<v1::JobView, ClientError>>,
}

impl JobWatch {
    /// Begins to watch; `limit` is for the first answer.
    pub(crate) async fn begin(
        caller: Caller,
        job: &JobId,
        limit: Duration,
    ) -> Result<Self, ClientError> {
        let mut watcher = Watcher {
            caller,
            job: job.to_string(),
            seen: Seen::default(),
        };
        let stream = watcher.open(limit).await?;
        // The reader gets the next view when it asks for it; what comes meanwhile is conflated by the coordinator.
        let (sender, views) = mpsc::channel(1);
        tokio::spawn(async move { watcher.follow(stream, &sender).await });
        Ok(Self { views })
    }

    /// The next view; `None` after an error. Cancelling the wait loses nothing.
    ///
    /// # Errors
    /// If the leader refuses, as for a job that it no longer knows, or none was found for a minute.
    pub async fn next(&mut self) -> Result<Option<v1::JobView>, ClientError> {
        self.views.recv().await.transpose()
    }
}

/// Term and revision of the newest view that was shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    term: u64,
    revision: u64,
}

impl Seen {
    fn of(view: &v1::JobView) -> Self {
        Self {
            term: view.term,
            revision: view.revision,
        }
    }
}

struct Watcher {
    caller: Caller,
    job: String,
    seen: Seen,
}

type Stream = (CoordinatorAddress, Streaming<v1::JobView>);

/// Why the stream of one coordinator is read no further.
enum End {
    /// Nobody looks on any more.
    Unwatched,
    /// It ended, broke, or comes from a leader that was deposed.
    Broken(ClientError),
    Refused(ClientError),
}

impl Watcher {
    async fn open(&mut self, limit: Duration) -> Result<Stream, ClientError> {
        let request = v1::WatchRequest {
            job_id: self.job.clone(),
            term: self.seen.term,
            revision: self.seen.revision,
        };
        let watch = |connection| {
            let request = request.clone();
            async move {
                JobsClient::new(connection)
                    .max_decoding_message_size(MAX_MESSAGE_BYTES)
                    .watch(request)
                    .await
            }
        };
        self.caller
            .call(Operation::reading(WATCH), limit, watch)
            .await
    }

    /// Passes views on until nobody looks on any more or no leader is found.
    async fn follow(
        mut self,
        first: Stream,
        views: &mpsc::Sender<Result<v1::JobView, ClientError>>,
    ) {
        let (mut stream, mut news, mut in_vain) = (first, Instant::now(), 0);
        loop {
            let before = self.seen;
            let broken = match self.pass_on(&mut stream, views).await {
                End::Unwatched => return,
                End::Refused(error) => return tell(views, error).await,
                End::Broken(error) => error,
            };
            if self.seen > before {
                (news, in_vain) = (Instant::now(), 0);
            }
            in_vain += 1;
            let left = WATCH_LIMIT.saturating_sub(news.elapsed());
            if left.is_zero() {
                return tell(views, broken).await;
            }
            tracing::debug!(job = self.job, %broken, "the watch is opened again");
            self.caller.endpoints().lost(&stream.0);
            tokio::select! {
                () = views.closed() => return,
                () = sleep(wait_after(in_vain, true, random_u64())) => {}
            }
            let opened = tokio::select! {
                () = views.closed() => return,
                opened = self.open(left) => opened,
            };
            stream = match opened {
                Ok(stream) => stream,
                Err(error) => return tell(views, error).await,
            };
        }
    }

    /// Passes on the views of one stream, as far as they are newer than all before.
    async fn pass_on(
        &mut self,
        (address, stream): &mut Stream,
        views: &mpsc::Sender<Result<v1::JobView, ClientError>>,
    ) -> End {
        let lost = |message: &str| {
            End::Broken(ClientError::Lost {
                address: address.clone(),
                operation: WATCH,
                message: message.to_owned(),
            })
        };
        loop {
            let message = tokio::select! {
                () = views.closed() => return End::Unwatched,
                message = stream.message() => message,
            };
            let view = match message {
                Ok(Some(view)) => view,
                Ok(None) => return lost("it ended the watch"),
                Err(status) => {
                    let error = ClientError::from_status(address, WATCH, &status);
                    return match error.is_connection_loss() {
                        true => End::Broken(error),
                        false => End::Refused(error),
                    };
                }
            };
            let seen = Seen::of(&view);
            if seen.term < self.seen.term {
                return lost("it was deposed, and does not know it yet");
            }
            if seen <= self.seen {
                continue;
            }
            self.seen = seen;
            if views.send(Ok(view)).await.is_err() {
                return End::Unwatched;
            }
        }
    }
}

async fn tell(views: &mpsc::Sender<Result<v1::JobView, ClientError>>, error: ClientError) {
    // Fails when nobody looks on any more.
    let _ = views.send(Err(error)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_ordered_by_leader_first() {
        let seen = |term, revision| Seen { term, revision };
        assert!(seen(2, 1) > seen(1, 900));
        assert!(seen(2, 2) > seen(2, 1));
        assert!(seen(0, 1) > Seen::default());
    }
}
