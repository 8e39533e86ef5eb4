//! Tries again until the coordinator answers or the time is up.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use tonic::transport::Channel;

use crate::address::CoordinatorAddress;
use crate::backoff::wait_after;
use crate::error::{ClientError, with_sources};
use crate::random::random_u64;

/// Runs `attempt` until it succeeds or fails for a reason other than the connection, at most for `limit`.
pub(crate) async fn persist<T, Attempt>(
    address: &CoordinatorAddress,
    limit: Duration,
    attempt: impl Fn() -> Attempt,
) -> Result<T, ClientError>
where
    Attempt: Future<Output = Result<T, ClientError>>,
{
    let deadline = Instant::now() + limit;
    let mut attempts = 0;
    let mut last = "no answer".to_owned();
    loop {
        attempts += 1;
        match timeout_at(deadline, attempt()).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) if error.is_connection_loss() => last = reason(error),
            Ok(Err(error)) => return Err(error),
            Err(_) => {}
        }
        let next = Instant::now() + wait_after(attempts, random_u64());
        if next >= deadline {
            let address = address.clone();
            return Err(ClientError::Unreachable {
                address,
                attempts,
                limit,
                last,
            });
        }
        sleep(next - Instant::now()).await;
    }
}

/// One try to open a connection.
pub(crate) async fn channel(
    address: &CoordinatorAddress,
    operation: &'static str,
) -> Result<Channel, ClientError> {
    address
        .endpoint()
        .connect()
        .await
        .map_err(|error| ClientError::Lost {
            address: address.clone(),
            operation,
            message: with_sources(&error),
        })
}

/// The part that differs from try to try.
fn reason(error: ClientError) -> String {
    match error {
        ClientError::Lost { message, .. } => message,
        ClientError::Unreachable { last, .. } => last,
        ClientError::InvalidAddress { .. }
        | ClientError::Refused { .. }
        | ClientError::Malformed { .. } => error.to_string(),
    }
}
