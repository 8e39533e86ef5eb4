//! A session that is opened again when it breaks: at the same coordinator, or at a new leader.

use std::time::Duration;

use convoy_common::address::CoordinatorAddress;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::backoff::wait_after;
use crate::endpoints::Endpoints;
use crate::random::random_u64;
use crate::session::{Reporter, Session};
use crate::side::Side;

/// Events that wait for their reader. Directives are few per second, and each makes the earlier ones of its kind idle.
const WAITING_EVENTS: usize = 64;

/// How long the coordinator may take to read the last reports.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// What happens on a link.
#[derive(Debug)]
pub enum LinkEvent<S: Side> {
    /// A session is open; reports go here until the next `Lost`. What was reported before may not have arrived.
    Opened {
        /// Where it leads.
        coordinator: CoordinatorAddress,
        /// The way to report.
        reporter: Reporter<S>,
    },
    /// The coordinator says something.
    Directive(S::Directive),
    /// The session broke; the next is being tried for.
    Lost {
        /// How, in one sentence.
        reason: String,
    },
    /// The coordinator refuses this peer, or is gone for good. The last event.
    Gone {
        /// Why, in one sentence.
        reason: String,
    },
}

/// Keeps a session open on a task of its own.
#[derive(Debug)]
pub struct Link<S: Side> {
    events: mpsc::Receiver<LinkEvent<S>>,
    close: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl<S: Side> Link<S> {
    /// Begins to open sessions, each with `hello`; must be called within a tokio runtime. Gives up when the coordinators
    /// were out of reach for `limit`, the first time and any later one.
    #[must_use]
    pub fn start(endpoints: Endpoints, hello: S::Hello, limit: Duration) -> Self {
        let (sender, events) = mpsc::channel(WAITING_EVENTS);
        let (close, closing) = oneshot::channel();
        let holder = Holder {
            endpoints,
            hello,
            limit,
            events: sender,
            closing,
        };
        Self {
            events,
            close,
            task: tokio::spawn(holder.hold()),
        }
    }

    /// The next event; waits for ever after the last one. Cancelling the wait loses nothing.
    pub async fn next(&mut self) -> LinkEvent<S> {
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    /// Ends the link in order: what was reported is sent, and the coordinator gets two seconds to read it. Events that
    /// wait are dropped.
    pub async fn close(self) {
        let Self {
            events,
            close,
            task,
        } = self;
        // First, so that the task is not held up by a queue that nobody reads.
        drop(events);
        let _ = close.send(());
        if let Err(error) = task.await {
            tracing::error!(%error, "the task that held the session failed");
        }
    }
}

/// The task behind a link.
struct Holder<S: Side> {
    endpoints: Endpoints,
    hello: S::Hello,
    limit: Duration,
    events: mpsc::Sender<LinkEvent<S>>,
    closing: oneshot::Receiver<()>,
}

/// How a session ended.
enum End {
    /// We were told to.
    Asked,
    Lost(String),
    Gone(String),
}

impl<S: Side> Holder<S> {
    async fn hold(mut self) {
        let mut silent_since = Instant::now();
        let mut in_vain = 0;
        loop {
            let left = self.limit.saturating_sub(silent_since.elapsed());
            let opened = tokio::select! {
                biased;
                _ = &mut self.closing => return,
                opened = Session::<S>::open(&self.endpoints, self.hello.clone(), left) => opened,
            };
            let mut session = match opened {
                Ok(session) => session,
                Err(error) => {
                    let reason = error.to_string();
                    return self.tell(LinkEvent::Gone { reason }).await;
                }
            };
            let opened = LinkEvent::Opened {
                coordinator: session.address().clone(),
                reporter: session.reporter(),
            };
            self.tell(opened).await;
            let (end, heard) = self.listen(&mut session).await;
            match end {
                End::Asked => {
                    if !session.close(CLOSE_LIMIT).await {
                        tracing::warn!("the coordinator may have missed the last reports");
                    }
                    return;
                }
                End::Gone(reason) => return self.tell(LinkEvent::Gone { reason }).await,
                End::Lost(reason) => {
                    self.endpoints.lost(session.address());
                    self.tell(LinkEvent::Lost { reason }).await;
                }
            }
            // A coordinator that opens sessions and ends them at once is as good as gone.
            if heard {
                silent_since = Instant::now();
                in_vain = 0;
            }
            drop(session);
            in_vain += 1;
            tokio::select! {
                biased;
                _ = &mut self.closing => return,
                () = sleep(wait_after(in_vain, true, random_u64())) => {}
            }
        }
    }

    /// Passes on what the coordinator says until the session ends; also whether it said anything.
    async fn listen(&mut self, session: &mut Session<S>) -> (End, bool) {
        let mut heard = false;
        loop {
            let directive = tokio::select! {
                biased;
                _ = &mut self.closing => return (End::Asked, heard),
                directive = session.next_directive() => directive,
            };
            match directive {
                Ok(Some(directive)) => {
                    heard = true;
                    self.tell(LinkEvent::Directive(directive)).await;
                }
                Ok(None) => {
                    let reason =
                        format!("the coordinator at {} ended the session", session.address());
                    return (End::Lost(reason), heard);
                }
                Err(error) if error.is_connection_loss() => {
                    return (End::Lost(error.to_string()), heard);
                }
                Err(error) => return (End::Gone(error.to_string()), heard),
            }
        }
    }

    /// Fails only when the link is being closed, and that is noticed next.
    async fn tell(&self, event: LinkEvent<S>) {
        let _ = self.events.send(event).await;
    }
}
