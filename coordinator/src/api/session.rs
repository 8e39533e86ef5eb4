//! Sessions of agents and workers: the first message is a hello, then reports come and directives go until either side ends.

use convoy_proto::v1;
use futures::stream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tonic::{Status, Streaming};

use super::{Answers, Api, convert};
use crate::leader::{AgentAttach, Detached, Event, Next, Outgoing, WorkerAttach, channel};

pub(super) async fn agent(
    api: &Api,
    mut reports: Streaming<v1::AgentReport>,
) -> Result<Answers<v1::AgentDirective>, Status> {
    let hello = convert::agent_hello(first(api, &mut reports).await?)?;
    let (node, session) = (hello.agent.node.clone(), api.next_session());
    let (outbound, outgoing, gone) = channel();
    api.ask(|reply| {
        Event::AgentAttach(AgentAttach {
            hello,
            session,
            outbound,
            reply,
        })
    })
    .await?;
    let ended = node.clone();
    tokio::spawn(read(
        reports,
        gone,
        api.events.clone(),
        move |message| {
            convert::agent_report(message).map(|report| Event::AgentReport {
                node: node.clone(),
                session,
                report,
            })
        },
        move |why| Event::AgentDetached {
            node: ended,
            session,
            why,
        },
    ));
    Ok(answers(outgoing, convert::agent_directive))
}

pub(super) async fn worker(
    api: &Api,
    mut reports: Streaming<v1::WorkerReport>,
) -> Result<Answers<v1::WorkerDirective>, Status> {
    let hello = convert::worker_hello(first(api, &mut reports).await?)?;
    let (worker, session) = (hello.worker.clone(), api.next_session());
    let (outbound, outgoing, gone) = channel();
    api.ask(|reply| {
        Event::WorkerAttach(WorkerAttach {
            hello,
            session,
            outbound,
            reply,
        })
    })
    .await?;
    let ended = worker.clone();
    tokio::spawn(read(
        reports,
        gone,
        api.events.clone(),
        move |message| {
            convert::worker_report(message).map(|report| Event::WorkerReport {
                worker: worker.clone(),
                session,
                report,
            })
        },
        move |why| Event::WorkerDetached {
            worker: ended,
            session,
            why,
        },
    ));
    Ok(answers(outgoing, convert::worker_directive))
}

async fn first<M>(api: &Api, reports: &mut Streaming<M>) -> Result<M, Status> {
    let limit = api.hello;
    let late = |_| {
        Status::deadline_exceeded(format!(
            "the session's first message, its hello, did not come within {limit:?}"
        ))
    };
    let ended = || Status::invalid_argument("the session ended before its hello");
    timeout(limit, reports.message())
        .await
        .map_err(late)??
        .ok_or_else(ended)
}

/// Passes reports on until the peer ends the session, says something malformed, or is no longer served.
async fn read<M>(
    mut reports: Streaming<M>,
    mut gone: oneshot::Receiver<()>,
    events: mpsc::Sender<Event>,
    event: impl Fn(M) -> Result<Event, Status> + Send,
    ended: impl FnOnce(Detached) -> Event + Send,
) {
    let why = loop {
        let message = tokio::select! {
            message = reports.message() => message,
            _ = &mut gone => break Detached::Ended("its connection ended".to_owned()),
        };
        match message.map(|message| message.map(&event)) {
            Ok(Some(Ok(event))) => {
                if events.send(event).await.is_err() {
                    return;
                }
            }
            Ok(Some(Err(malformed))) => break Detached::Invalid(malformed.message().to_owned()),
            Ok(None) => break Detached::Ended("it closed the session".to_owned()),
            Err(status) => {
                break Detached::Ended(format!("its connection broke: {}", status.message()));
            }
        }
    };
    // Without a leader nobody needs to know.
    let _ = events.send(ended(why)).await;
}

fn answers<D: Send + 'static, M: Send + 'static>(
    outgoing: Outgoing<D>,
    to_wire: fn(D) -> M,
) -> Answers<M> {
    Box::pin(stream::unfold(Some(outgoing), move |outgoing| async move {
        let mut outgoing = outgoing?;
        match outgoing.next().await {
            Next::Directive(directive) => Some((Ok(to_wire(directive)), Some(outgoing))),
            Next::Closed(why) => Some((Err(convert::status(&why)), None)),
            Next::End => None,
        }
    }))
}
