//! What clients ask.

use convoy_common::ids::JobId;
use convoy_state_machine::{Command, Outcome, Refusal};

use super::{ClientRequest, Leader, NumberedView, Refused, Reply, Submission, Waiting};
use crate::consensus::Log;

impl<L: Log> Leader<L> {
    pub(super) fn client(&mut self, request: ClientRequest) {
        match request {
            ClientRequest::Submit { submission, reply } => {
                let Submission {
                    client_id,
                    sequence,
                    spec,
                    workers,
                } = *submission;
                let spec = Box::new(spec);
                let command = Command::SubmitJob {
                    client_id,
                    sequence,
                    spec,
                    workers,
                };
                self.propose(command, Waiting::Submit(reply));
            }
            ClientRequest::Cancel { job, reason, reply } => {
                self.propose(Command::CancelJob { job, reason }, Waiting::Cancel(reply));
            }
            ClientRequest::Describe { job, reply } => {
                reply.give(self.newest_view(job, |newest| newest.borrow().clone()));
            }
            ClientRequest::Watch { job, reply } => {
                reply.give(self.newest_view(job, tokio::sync::watch::Sender::subscribe));
            }
        }
    }

    fn newest_view<T>(
        &self,
        job: JobId,
        take: impl FnOnce(&tokio::sync::watch::Sender<NumberedView>) -> T,
    ) -> Result<T, Refused> {
        self.views
            .newest(&job)
            .map(take)
            .ok_or(Refused::NoSuchJob { job })
    }

    pub(super) fn submitted(&mut self, reply: Reply<JobId>, result: Result<Outcome, Refusal>) {
        let answer = match result {
            Ok(Outcome::Submitted(job)) => {
                // A new job has a view before anyone can ask for it.
                self.views.mark(&job);
                tracing::info!(%job, "job submitted");
                Ok(job)
            }
            Ok(
                outcome @ (Outcome::Done
                | Outcome::Unchanged
                | Outcome::Placed(_)
                | Outcome::Formed(_)),
            ) => unreachable!("a submission has no outcome {outcome:?}"),
            Err(refusal) => Err(Refused::State(refusal)),
        };
        self.publish_changed();
        reply.give(answer);
    }
}
