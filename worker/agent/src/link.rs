//! The session with the coordinator, opened again for a while when it breaks.

use std::time::Duration;

use convoy_client::{AgentSession, AgentSide, CoordinatorAddress, Reporter};
use convoy_proto::v1::AgentHello;
use convoy_proto::v1::agent_directive::Directive;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

/// Between two sessions, so that a coordinator which ends each at once is not asked in a tight loop.
const REOPEN_WAIT: Duration = Duration::from_millis(100);

/// How long the coordinator may take to read the last reports.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// What the link tells the agent.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// A session is open; reports go here until the next `Lost`.
    Opened(Reporter<AgentSide>),
    /// The coordinator says something.
    Directive(Directive),
    /// The session broke; the next is being tried for.
    Lost { reason: String },
    /// The coordinator refuses this agent, or is gone for good. The last event.
    Gone { reason: String },
}

/// Keeps a session open until `close` is sent or dropped, or the coordinator was out of reach for
/// `reach_limit`.
pub(crate) async fn hold(
    address: CoordinatorAddress,
    hello: AgentHello,
    reach_limit: Duration,
    events: mpsc::UnboundedSender<LinkEvent>,
    mut close: oneshot::Receiver<()>,
) {
    let mut silent_since = Instant::now();
    loop {
        let left = reach_limit.saturating_sub(silent_since.elapsed());
        let opened = tokio::select! {
            biased;
            _ = &mut close => return,
            opened = AgentSession::open(&address, hello.clone(), left) => opened,
        };
        let mut session = match opened {
            Ok(session) => session,
            Err(error) => {
                return tell(
                    &events,
                    LinkEvent::Gone {
                        reason: error.to_string(),
                    },
                );
            }
        };
        tell(&events, LinkEvent::Opened(session.reporter()));
        match listen(&mut session, &events, &mut silent_since, &mut close).await {
            End::Asked => {
                if !session.close(CLOSE_LIMIT).await {
                    tracing::warn!("the coordinator may have missed the last reports");
                }
                return;
            }
            End::Lost { reason } => tell(&events, LinkEvent::Lost { reason }),
            End::Gone { reason } => return tell(&events, LinkEvent::Gone { reason }),
        }
        sleep(REOPEN_WAIT).await;
    }
}

enum End {
    Asked,
    Lost { reason: String },
    Gone { reason: String },
}

/// Passes on what the coordinator says until the session ends. Only a directive counts as a sign of life: a coordinator
/// that opens sessions and ends them at once is as good as gone.
async fn listen(
    session: &mut AgentSession,
    events: &mpsc::UnboundedSender<LinkEvent>,
    silent_since: &mut Instant,
    close: &mut oneshot::Receiver<()>,
) -> End {
    let mut heard_any = false;
    let end = loop {
        let heard = tokio::select! {
            biased;
            _ = &mut *close => return End::Asked,
            heard = session.next_directive() => heard,
        };
        match heard {
            Ok(Some(directive)) => {
                heard_any = true;
                tell(events, LinkEvent::Directive(directive));
            }
            Ok(None) => {
                break End::Lost {
                    reason: "the coordinator ended the session".to_owned(),
                };
            }
            Err(error) if error.is_connection_loss() => {
                break End::Lost {
                    reason: error.to_string(),
                };
            }
            Err(error) => {
                break End::Gone {
                    reason: error.to_string(),
                };
            }
        }
    };
    if heard_any {
        *silent_since = Instant::now();
    }
    end
}

/// The agent receives until it has closed the link, so this fails only for what it no longer needs.
fn tell(events: &mpsc::UnboundedSender<LinkEvent>, event: LinkEvent) {
    let _ = events.send(event);
}
