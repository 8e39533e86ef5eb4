//! Workers attach and go.

use convoy_common::ids::WorkerRef;
use convoy_proto::PROTOCOL_VERSION;
use convoy_state_machine::Refusal;
use convoy_state_machine::cause::Cause;
use convoy_state_machine::job::WorkerProcess;
use convoy_state_machine::membership::Named;
use convoy_state_machine::text::Text;

use super::refused::OtherBuild;
use super::session::{QUEUED_DIRECTIVES, SessionId, Unsent, WorkerSession};
use super::silence::Peer;
use super::{Detached, Leader, Refused, WorkerAttach, WorkerDirective, WorkerHello};
use crate::consensus::Log;

impl<L: Log> Leader<L> {
    pub(super) fn worker_attaches(&mut self, attach: WorkerAttach) {
        let WorkerAttach {
            hello,
            session,
            outbound,
            reply,
        } = attach;
        if let Err(refused) = self.check_worker(&hello) {
            tracing::warn!(worker = %hello.worker, %refused, "worker refused");
            return reply.give(Err(refused));
        }
        let WorkerHello {
            worker,
            pid,
            build,
            data_address,
            ..
        } = hello;
        let _ = outbound.send(WorkerDirective::Welcome { term: self.term() });
        reply.give(Ok(()));
        tracing::info!(%worker, pid, %build, %data_address, "worker attached");
        self.silence.heard(Peer::Worker(worker.clone()), self.now);
        let new = WorkerSession {
            id: session,
            outbound,
            data_address,
            build,
            told: Vec::new(),
        };
        if let Some(old) = self.workers.insert(worker.clone(), new) {
            old.outbound.close(Refused::Replaced {
                peer: worker.to_string(),
            });
        }
        let live = self.live.entry(worker.job.clone()).or_default();
        live.evidence.came_back(worker.worker);
        // What the older session was told may be lost: begin anew.
        live.forming = None;
        self.views.mark(&worker.job);
        self.attention = true;
    }

    fn check_worker(&mut self, hello: &WorkerHello) -> Result<(), Refused> {
        self.check_life(&hello.worker)?;
        Text::Build.check(&hello.build).map_err(Refused::State)?;
        self.check_members_build(hello)?;
        let fits = check_protocol(hello).and_then(|()| self.check_fellows_build(hello));
        if let Err(refused) = &fits {
            // The worker will end without having said why; this is the reason.
            let cause = Cause::Decided(refused.to_string());
            self.note(&hello.worker.job, cause);
        }
        fits
    }

    fn check_life(&self, worker: &WorkerRef) -> Result<(), Refused> {
        let known = self.cluster.current_worker(worker);
        let (_, assigned) = known.map_err(Refused::State)?;
        if let WorkerProcess::Ended(obituary) = &assigned.process {
            let (worker, how) = (worker.clone(), obituary.how.clone());
            return Err(Refused::State(Refusal::WorkerHasEnded { worker, how }));
        }
        Ok(())
    }

    /// Members are of the build of which they formed their generation, whoever led then and whoever comes first now. Who claims
    /// to be a member and is of another build is no reason to end what the members do.
    fn check_members_build(&self, hello: &WorkerHello) -> Result<(), Refused> {
        let job = self.cluster.job(&hello.worker.job);
        let known = job.and_then(|job| Some((job.build.as_ref()?, job.current_generation())));
        match known {
            Some((build, generation)) if *build != hello.build => {
                let members = format!("the members of its generation {generation}");
                self.other_build(hello, members, build)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// All workers of a job are of one build. Another build may compute other numbers, and nothing that is compared later would
    /// say why.
    fn check_fellows_build(&self, hello: &WorkerHello) -> Result<(), Refused> {
        let WorkerHello { worker, build, .. } = hello;
        let fellows = self.workers.iter().filter(|(fellow, _)| {
            fellow.job == worker.job && fellow.worker != worker.worker && self.holds_slot(fellow)
        });
        let mut others = fellows.filter(|(_, session)| session.build != *build);
        let Some((known, session)) = others.next() else {
            return Ok(());
        };
        let Some(known) = self.named(known) else {
            return Ok(());
        };
        self.other_build(hello, known.to_string(), &session.build)
    }

    fn other_build(
        &self,
        hello: &WorkerHello,
        known: String,
        known_build: &str,
    ) -> Result<(), Refused> {
        let Some(given) = self.named(&hello.worker) else {
            return Ok(());
        };
        Err(Refused::Build(Box::new(OtherBuild {
            job: hello.worker.job.clone(),
            given,
            given_build: hello.build.clone(),
            known,
            known_build: known_build.to_owned(),
        })))
    }

    fn named(&self, worker: &WorkerRef) -> Option<Named> {
        let (_, assigned) = self.cluster.current_worker(worker).ok()?;
        Some(Named {
            worker: worker.worker,
            node: assigned.node.clone(),
        })
    }

    pub(super) fn worker_detached(
        &mut self,
        worker: &WorkerRef,
        session: SessionId,
        why: &Detached,
    ) {
        if self
            .workers
            .get(worker)
            .is_none_or(|known| known.id != session)
        {
            return;
        }
        let Some(known) = self.workers.remove(worker) else {
            return;
        };
        match why {
            Detached::Ended(reason) => self.session_lost(worker, reason.clone()),
            Detached::Invalid(reason) => {
                known.outbound.close(Refused::Invalid(reason.clone()));
                let reason = format!("it sent a report that can't be understood: {reason}");
                let cause = Cause::Failed {
                    worker: worker.worker,
                    reason,
                };
                self.note(&worker.job, cause);
            }
        }
    }

    /// The worker may come back; until then its silence is counted.
    fn session_lost(&mut self, worker: &WorkerRef, reason: String) {
        let live = self.live.entry(worker.job.clone()).or_default();
        live.forming = None;
        self.views.mark(&worker.job);
        if self.holds_slot(worker) {
            let cause = Cause::Detached {
                worker: worker.worker,
                reason,
            };
            self.note(&worker.job, cause);
        } else {
            self.silence.forget(&Peer::Worker(worker.clone()));
        }
    }

    pub(super) fn worker_silent(&mut self, worker: &WorkerRef, silent_ms: u64) {
        if let Some(session) = self.workers.remove(worker) {
            session.outbound.close(Refused::Silent {
                peer: worker.to_string(),
                silent_ms,
            });
        }
        if self.holds_slot(worker) {
            let cause = Cause::Silent {
                worker: worker.worker,
                silent_ms,
            };
            self.note(&worker.job, cause);
        }
    }

    fn holds_slot(&self, worker: &WorkerRef) -> bool {
        self.cluster
            .current_worker(worker)
            .is_ok_and(|(_, assigned)| assigned.is_live())
    }

    /// Tells a worker something; one that does not read is dropped.
    pub(super) fn tell(&mut self, worker: &WorkerRef, directive: WorkerDirective) {
        let Some(session) = self.workers.get(worker) else {
            return;
        };
        match session.outbound.send(directive) {
            // A peer that is gone is reported by its session.
            Ok(()) | Err(Unsent::Gone) => {}
            Err(Unsent::Slow) => {
                let Some(session) = self.workers.remove(worker) else {
                    return;
                };
                let refused = Refused::Slow {
                    peer: worker.to_string(),
                    queued: QUEUED_DIRECTIVES,
                };
                tracing::warn!(%worker, %refused, "dropped");
                self.session_lost(worker, refused.to_string());
                session.outbound.close(refused);
            }
        }
    }
}

fn check_protocol(hello: &WorkerHello) -> Result<(), Refused> {
    let (theirs, ours) = (hello.protocol_version, PROTOCOL_VERSION);
    if theirs == ours {
        return Ok(());
    }
    let (peer, build) = (hello.worker.to_string(), hello.build.clone());
    Err(Refused::Protocol {
        peer,
        build,
        theirs,
        ours,
    })
}
