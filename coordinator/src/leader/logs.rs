//! Logs of workers: a client asks the leader for a part, the leader asks the agent of the node that holds it, and passes the
//! answer on.
//!
//! **Invariant:** a part is asked for before it is sent. So nothing piles up here, whoever reads slowly, and one agent has
//! [`MAX_LOG_READS`] parts under way at most.

use std::collections::BTreeMap;

use convoy_common::ids::{NodeId, WorkerRef};
use convoy_common::limits::MAX_LOG_READS;
use convoy_state_machine::job::WorkerProcess;
use convoy_state_machine::node::NodeState;
use convoy_state_machine::time::{Moment, Seconds};

use super::session::{SessionId, Unsent};
use super::{AgentDirective, Leader, Refused, Reply};
use crate::consensus::Log;

/// Reading 64 KiB takes milliseconds, and so does a look for the last lines; a disk that takes longer is in trouble.
const ANSWER_LIMIT_MS: u64 = 5_000;

/// Part of a log, as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogWanted {
    pub(crate) worker: WorkerRef,
    pub(crate) from: LogFrom,
}

/// Where a part begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFrom {
    /// So many bytes after the log's beginning.
    Offset(u64),
    /// So many lines before its end.
    LastLines(u32),
}

/// Part of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogPart {
    /// Of the first byte.
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
    /// Of the whole log when this was read.
    pub(crate) length: u64,
    /// The worker had ended before this was read.
    pub(crate) is_complete: bool,
}

/// Reads that wait for an agent, by the number that names the answer.
#[derive(Debug, Default)]
pub(super) struct LogReads {
    asked: u64,
    waiting: BTreeMap<u64, (Asked, Reply<LogPart>)>,
}

/// Who was asked for what.
#[derive(Debug)]
struct Asked {
    request: u64,
    worker: WorkerRef,
    node: NodeId,
    session: SessionId,
    has_ended: bool,
    since: Moment,
}

impl<L: Log> Leader<L> {
    /// Asks the agent of the worker's node; the answer comes later.
    pub(super) fn read_log(&mut self, wanted: LogWanted, reply: Reply<LogPart>) {
        match self.ask_for_log(wanted) {
            Ok(asked) => {
                let waiting = &mut self.log_reads.waiting;
                waiting.insert(asked.request, (asked, reply));
            }
            Err(refused) => reply.give(Err(refused)),
        }
    }

    fn ask_for_log(&mut self, wanted: LogWanted) -> Result<Asked, Refused> {
        let worker = wanted.worker.clone();
        let known = self.cluster.current_worker(&worker);
        let (_, assigned) = known.map_err(Refused::State)?;
        let node = assigned.node.clone();
        let has_ended = match assigned.process {
            WorkerProcess::Ended(_) => true,
            WorkerProcess::Assigned | WorkerProcess::Started { .. } => false,
        };
        let Some(agent) = self.agents.get(&node) else {
            return Err(self.node_away(node, worker));
        };
        let under_way = self.log_reads.waiting.values();
        if under_way.filter(|(asked, _)| asked.node == node).count() >= MAX_LOG_READS {
            let busy = format!("the agent of node {node} reads {MAX_LOG_READS} logs already");
            return Err(Refused::NotNow(busy));
        }
        self.log_reads.asked += 1;
        // The answer to a leader of before must not be taken for one to this.
        let request = (self.term() << 32) | (self.log_reads.asked & u64::from(u32::MAX));
        let session = agent.id;
        match agent
            .outbound
            .send(AgentDirective::ReadLog { request, wanted })
        {
            Ok(()) => Ok(Asked {
                request,
                worker,
                node,
                session,
                has_ended,
                since: self.now,
            }),
            Err(Unsent::Gone) => Err(self.node_away(node, worker)),
            Err(Unsent::Slow) => {
                let slow = format!("the agent of node {node} has other directives to read");
                Err(Refused::NotNow(slow))
            }
        }
    }

    fn node_away(&self, node: NodeId, worker: WorkerRef) -> Refused {
        let why = match self.cluster.node(&node).map(|node| &node.state) {
            Some(NodeState::Lost { reason }) => reason.clone(),
            Some(NodeState::Alive) => "its agent has no session at the moment".to_owned(),
            None => "it is not known any more".to_owned(),
        };
        Refused::NodeAway { node, worker, why }
    }

    /// An agent read, or could not.
    pub(super) fn log_read(
        &mut self,
        node: &NodeId,
        session: SessionId,
        request: u64,
        part: Result<LogPart, String>,
    ) {
        let waiting = &mut self.log_reads.waiting;
        let was_asked =
            |(asked, _): &(Asked, Reply<LogPart>)| asked.node == *node && asked.session == session;
        // One that was given up is no longer there.
        if !waiting.get(&request).is_some_and(was_asked) {
            return;
        }
        let Some((asked, reply)) = waiting.remove(&request) else {
            return;
        };
        let Asked {
            worker,
            node,
            has_ended,
            ..
        } = asked;
        reply.give(match part {
            Ok(part) => Ok(LogPart {
                is_complete: has_ended,
                ..part
            }),
            Err(why) => Err(Refused::NoLog { node, worker, why }),
        });
    }

    /// Reads whose agent went away or takes too long.
    pub(super) fn give_up_log_reads(&mut self) {
        let (now, agents) = (self.now, &self.agents);
        let is_attached = |asked: &Asked| {
            let agent = agents.get(&asked.node);
            agent.is_some_and(|agent| agent.id == asked.session)
        };
        let is_late = |asked: &Asked| now.ms_since(asked.since) >= ANSWER_LIMIT_MS;
        let waiting = &mut self.log_reads.waiting;
        let given_up =
            waiting.extract_if(.., |_, (asked, _)| is_late(asked) || !is_attached(asked));
        let given_up: Vec<(Asked, Reply<LogPart>)> = given_up.map(|(_, read)| read).collect();
        for (asked, reply) in given_up {
            reply.give(Err(self.no_answer(asked)));
        }
    }

    fn no_answer(&self, asked: Asked) -> Refused {
        let Asked { node, worker, .. } = asked;
        let why = match self.agents.get(&node) {
            None => return self.node_away(node, worker),
            Some(agent) if agent.id == asked.session => {
                let limit = Seconds {
                    ms: ANSWER_LIMIT_MS,
                };
                format!("its agent did not answer within {limit}")
            }
            Some(_) => "its agent's session ended meanwhile".to_owned(),
        };
        Refused::NodeAway { node, worker, why }
    }

    /// Reads of a leadership that is over.
    pub(super) fn refuse_log_reads(&mut self, refused: &Refused) {
        for (_, reply) in std::mem::take(&mut self.log_reads.waiting).into_values() {
            reply.give(Err(refused.clone()));
        }
    }
}
