//! Agents attach, report and go.

use convoy_common::ids::{NodeId, WorkerRef};
use convoy_proto::PROTOCOL_VERSION;
use convoy_state_machine::command::AgentRef;
use convoy_state_machine::time::Seconds;
use convoy_state_machine::{Answer, Command};

use super::session::{AgentSession, SessionId};
use super::silence::Peer;
use super::{
    AgentAttach, AgentDirective, AgentHello, AgentReport, Detached, Leader, Refused, Waiting,
};
use crate::consensus::Log;

impl<L: Log> Leader<L> {
    pub(super) fn agent_attaches(&mut self, attach: AgentAttach) {
        let AgentHello { agent, offer } = attach.hello.clone();
        if offer.protocol_version != PROTOCOL_VERSION {
            let (theirs, ours) = (offer.protocol_version, PROTOCOL_VERSION);
            let (peer, build) = (agent_name(&agent.node), offer.build);
            tracing::warn!(%peer, theirs, ours, "protocol versions differ");
            return attach.reply.give(Err(Refused::Protocol {
                peer,
                build,
                theirs,
                ours,
            }));
        }
        let command = Command::RegisterNode { agent, offer };
        self.propose(command, Waiting::Register(Box::new(attach)));
    }

    pub(super) fn registered(&mut self, attach: AgentAttach, answer: Answer) {
        let AgentAttach {
            hello,
            session,
            outbound,
            reply,
        } = attach;
        let AgentHello { agent, offer } = hello;
        let AgentRef { node, incarnation } = agent;
        if let Err(refusal) = answer {
            tracing::warn!(%node, %refusal, "agent refused");
            return reply.give(Err(Refused::State(refusal)));
        }
        // The queue is empty, so this can only fail when the agent is gone, which its session will tell.
        let _ = outbound.send(AgentDirective::Welcome { term: self.term() });
        reply.give(Ok(()));
        // Builds may differ, as they do while a cluster is upgraded node by node: the protocol is the same.
        tracing::info!(%node, slots = offer.slots, build = %offer.build, own_build = crate::BUILD, "agent attached");
        self.silence.heard(Peer::Node(node.clone()), self.now);
        let new = AgentSession {
            id: session,
            incarnation,
            outbound,
            desired: None,
        };
        if let Some(old) = self.agents.insert(node.clone(), new) {
            old.outbound.close(Refused::Replaced {
                peer: agent_name(&node),
            });
        }
        self.attention = true;
    }

    pub(super) fn agent_reports(&mut self, node: &NodeId, session: SessionId, report: AgentReport) {
        let Some(agent) = self.agents.get(node).filter(|agent| agent.id == session) else {
            return;
        };
        let agent = AgentRef {
            node: node.clone(),
            incarnation: agent.incarnation,
        };
        self.silence.heard(Peer::Node(node.clone()), self.now);
        if let AgentReport::Started { worker, .. } | AgentReport::Exited { worker, .. } = &report
            && !self.is_placed_on(worker, node)
        {
            return tracing::info!(%node, %worker, "report about a worker that has no slot here is not used");
        }
        match report {
            AgentReport::Heartbeat => {}
            AgentReport::Started {
                worker,
                pid,
                log_path,
            } => {
                tracing::info!(%worker, pid, %log_path, "worker started");
                let command = Command::WorkerStarted {
                    agent,
                    worker,
                    pid,
                    log_path,
                };
                self.propose(command, Waiting::Nobody);
            }
            AgentReport::Exited { worker, obituary } => {
                tracing::info!(%worker, how = %obituary.how, clean = obituary.clean, "worker ended");
                self.silence.forget(&Peer::Worker(worker.clone()));
                let command = Command::WorkerEnded {
                    agent,
                    worker,
                    obituary,
                };
                self.propose(command, Waiting::Nobody);
            }
            AgentReport::LogRead { request, part } => self.log_read(node, session, request, part),
            AgentReport::Leaving { reason } => {
                let reason = format!("its agent leaves: {reason}");
                self.propose(Command::NodeLost { agent, reason }, Waiting::Nobody);
            }
        }
    }

    fn is_placed_on(&self, worker: &WorkerRef, node: &NodeId) -> bool {
        let known = self.cluster.current_worker(worker);
        known.is_ok_and(|(_, assigned)| assigned.node == *node)
    }

    /// The agent may come back: only its silence makes the node lost.
    pub(super) fn agent_detached(&mut self, node: &NodeId, session: SessionId, why: &Detached) {
        if self
            .agents
            .get(node)
            .is_none_or(|agent| agent.id != session)
        {
            return;
        }
        let Some(agent) = self.agents.remove(node) else {
            return;
        };
        match why {
            Detached::Ended(reason) => tracing::info!(%node, reason, "agent's session ended"),
            Detached::Invalid(reason) => {
                tracing::warn!(%node, reason, "agent sent an invalid report");
                agent.outbound.close(Refused::Invalid(reason.clone()));
            }
        }
    }

    pub(super) fn agent_silent(&mut self, node: &NodeId, silent_ms: u64) {
        if let Some(agent) = self.agents.remove(node) {
            agent.outbound.close(Refused::Silent {
                peer: agent_name(node),
                silent_ms,
            });
        }
        let Some(incarnation) = self.cluster.node(node).map(|node| node.incarnation) else {
            return;
        };
        let reason = format!(
            "nothing was heard of its agent for {}",
            Seconds { ms: silent_ms }
        );
        let node = node.clone();
        let agent = AgentRef { node, incarnation };
        self.propose(Command::NodeLost { agent, reason }, Waiting::Nobody);
    }

    pub(super) fn drop_slow_agent(&mut self, node: &NodeId) {
        if let Some(agent) = self.agents.remove(node) {
            let (peer, queued) = (agent_name(node), super::session::QUEUED_DIRECTIVES);
            tracing::warn!(%peer, queued, "too slow, dropped");
            agent.outbound.close(Refused::Slow { peer, queued });
        }
    }
}

fn agent_name(node: &NodeId) -> String {
    format!("the agent of node {node}")
}
