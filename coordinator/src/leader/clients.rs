//! What clients ask.

use convoy_common::ids::JobId;
use convoy_state_machine::{Answer, Command, Envelope, Outcome};
use tokio::sync::watch;

use super::{ClientRequest, Leader, Note, NumberedView, Refused, Reply, Submission, Waiting};
use crate::consensus::Log;

impl<L: Log> Leader<L> {
    pub(super) fn client(&mut self, request: ClientRequest) {
        match request {
            ClientRequest::Submit { submission, reply } => {
                let Submission {
                    origin,
                    spec,
                    workers,
                } = *submission;
                let envelope = Envelope {
                    origin: Some(origin),
                    command: Command::SubmitJob { spec, workers },
                };
                self.propose(envelope, Waiting::Submit(reply));
            }
            ClientRequest::Cancel {
                job,
                reason,
                origin,
                reply,
            } => {
                let command = Command::CancelJob { job, reason };
                self.propose(Envelope { origin, command }, Waiting::Client(reply));
            }
            ClientRequest::Annotate { note, reply } => {
                let Note {
                    job,
                    key,
                    value,
                    origin,
                } = *note;
                let command = Command::AnnotateJob { job, key, value };
                self.propose(Envelope { origin, command }, Waiting::Client(reply));
            }
            read @ (ClientRequest::Describe { .. }
            | ClientRequest::Watch { .. }
            | ClientRequest::Spec { .. }
            | ClientRequest::ReadLog { .. }
            | ClientRequest::ListJobs { .. }
            | ClientRequest::ListNodes { .. }) => self.read(read),
        }
    }

    /// Answers a read from the state as it is.
    pub(super) fn serve(&mut self, request: ClientRequest) {
        match request {
            ClientRequest::Describe { job, reply } => {
                reply.give(self.newest_view(job, |newest| newest.borrow().clone()));
            }
            ClientRequest::Watch { job, reply } => {
                reply.give(self.newest_view(job, watch::Sender::subscribe));
            }
            ClientRequest::Spec { job, reply } => reply.give(self.submitted_spec(job)),
            ClientRequest::ReadLog { wanted, reply } => self.read_log(wanted, reply),
            ClientRequest::ListJobs {
                open_only,
                after,
                reply,
            } => reply.give(Ok(self.list_jobs(open_only, after))),
            ClientRequest::ListNodes { after, reply } => {
                reply.give(Ok(self.list_nodes(after.as_ref())));
            }
            write @ (ClientRequest::Submit { .. }
            | ClientRequest::Cancel { .. }
            | ClientRequest::Annotate { .. }) => self.client(write),
        }
    }

    fn newest_view<T>(
        &mut self,
        job: JobId,
        take: impl FnOnce(&watch::Sender<NumberedView>) -> T,
    ) -> Result<T, Refused> {
        // A view is made when it is asked for.
        self.publish_now(&job);
        self.views
            .newest(&job)
            .map(take)
            .ok_or(Refused::NoSuchJob { job })
    }

    pub(super) fn submitted(&mut self, reply: Reply<JobId>, answer: Answer) {
        let answer = match answer {
            Ok(Outcome::Submitted(job)) => {
                tracing::info!(%job, "job submitted");
                Ok(job)
            }
            Ok(
                outcome @ (Outcome::Done
                | Outcome::Unchanged
                | Outcome::Placed(_)
                | Outcome::Formed(_)),
            ) => Err(Refused::SequenceReused { outcome }),
            Err(refusal) => Err(Refused::State(refusal)),
        };
        reply.give(answer);
    }
}

/// What a client hears that only needs to know that its command is done.
pub(super) fn done(answer: Answer) -> Result<(), Refused> {
    match answer {
        Ok(Outcome::Done | Outcome::Unchanged) => Ok(()),
        Ok(outcome @ (Outcome::Submitted(_) | Outcome::Placed(_) | Outcome::Formed(_))) => {
            Err(Refused::SequenceReused { outcome })
        }
        Err(refusal) => Err(Refused::State(refusal)),
    }
}
