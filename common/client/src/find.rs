//! Asks one coordinator after the other until one answers as the leader, or the time is up.

use std::future::Future;
use std::time::Duration;

use convoy_common::address::CoordinatorAddress;
use convoy_wire::redirect::Redirect;
use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::Status;

use crate::endpoints::Endpoints;
use crate::error::{ClientError, Unreachable};
use crate::random::random_u64;
use crate::search::{Answer, Search, Step};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    /// In words, after "to": "submit the job".
    pub(crate) what: &'static str,
    /// Whether something is different once it was carried out.
    pub(crate) changes: bool,
}

impl Operation {
    pub(crate) const fn reading(what: &'static str) -> Self {
        Self {
            what,
            changes: false,
        }
    }

    pub(crate) const fn changing(what: &'static str) -> Self {
        Self {
            what,
            changes: true,
        }
    }
}

/// Why one try at one coordinator did not do.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It does not lead; `sent` if it did when the request came, which may be carried out by its successor.
    Follower {
        leader: Option<CoordinatorAddress>,
        sent: bool,
    },
    /// The connection could not be made, or broke; `sent` if the request may have arrived before.
    Lost { message: String, sent: bool },
    /// The answer is no, and would be the same anywhere.
    Final(ClientError),
}

impl Failure {
    pub(crate) fn of(
        address: &CoordinatorAddress,
        operation: &'static str,
        status: &Status,
    ) -> Self {
        if let Some(Redirect { leader }) = Redirect::of(status) {
            let sent = Redirect::is_undecided(status);
            return Self::Follower { leader, sent };
        }
        match ClientError::from_status(address, operation, status) {
            ClientError::Lost { message, .. } => Self::Lost {
                message,
                sent: true,
            },
            error @ (ClientError::Unreachable(_)
            | ClientError::Refused { .. }
            | ClientError::Malformed { .. }) => Self::Final(error),
        }
    }
}

/// Runs `attempt` at one coordinator after the other until it succeeds at one, which is then known as the leader, or fails
/// for good; at most for `limit`.
pub(crate) async fn find<T, Attempt>(
    endpoints: &Endpoints,
    operation: Operation,
    limit: Duration,
    attempt: impl Fn(CoordinatorAddress) -> Attempt,
) -> Result<(CoordinatorAddress, T), ClientError>
where
    Attempt: Future<Output = Result<T, Failure>>,
{
    let deadline = Instant::now() + limit;
    let mut search = Search::new(&endpoints.in_turn(), endpoints.leader());
    let mut sent_any = false;
    loop {
        match search.next(random_u64()) {
            Step::Ask { address, patience } => {
                let until = patience.map_or(deadline, |time| deadline.min(Instant::now() + time));
                let (answer, sent) = match timeout_at(until, attempt(address.clone())).await {
                    Ok(Ok(done)) => {
                        endpoints.remember(&address);
                        return Ok((address, done));
                    }
                    Ok(Err(Failure::Final(error))) if operation.changes && sent_any => {
                        return Err(error.after_a_lost_try());
                    }
                    Ok(Err(Failure::Final(error))) => return Err(error),
                    Ok(Err(Failure::Follower { leader, sent })) => {
                        (Answer::Follower { leader }, sent)
                    }
                    Ok(Err(Failure::Lost { message, sent })) => (Answer::Lost { message }, sent),
                    Err(_) => (Answer::Silence, true),
                };
                tracing::debug!(%address, ?answer, operation = operation.what, "asked in vain");
                match &answer {
                    Answer::Follower { .. } => endpoints.forget(&address),
                    Answer::Lost { .. } | Answer::Silence => endpoints.lost(&address),
                }
                search.answered(&address, answer);
                sent_any |= sent;
                if Instant::now() >= deadline {
                    break;
                }
            }
            Step::Wait(wait) => {
                let next = Instant::now() + wait;
                if next >= deadline {
                    break;
                }
                sleep_until(next).await;
            }
        }
    }
    Err(ClientError::Unreachable(Box::new(Unreachable {
        endpoints: endpoints.to_string(),
        operation: operation.what,
        limit,
        is_leaderless: search.has_follower(),
        may_have_run: operation.changes && sent_any,
        answers: search.into_answers(),
    })))
}
