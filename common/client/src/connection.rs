//! One connection to one coordinator.

use std::time::Duration;

use convoy_access::ClusterKey;
use convoy_access::grpc::Authenticated;
use convoy_common::address::CoordinatorAddress;
use convoy_common::limits::VANISHED_COORDINATOR_MS;
use convoy_wire::sources::with_sources;
use tonic::transport::{Channel, Endpoint};

use crate::find::Failure;

/// Opening a connection takes one round trip; a host that doesn't answer within this is tried again from the start.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A coordinator whose host vanished without a word is noticed after both together. That is less than the time that the next
/// leader gives agents and workers to come to it, twice its `silence_ms`, which its configuration must see to; with a
/// coordinator that is merely slow, a session that was given up is opened again.
const PING_PERIOD: Duration = Duration::from_millis(VANISHED_COORDINATOR_MS / 2);
const PING_TIMEOUT: Duration = Duration::from_millis(VANISHED_COORDINATOR_MS / 2);

/// A connection whose calls prove the cluster key, if there is one. Clones share it.
pub type Connection = Authenticated<Channel>;

/// One try to open a connection.
pub(crate) async fn dial(
    address: &CoordinatorAddress,
    key: Option<&ClusterKey>,
) -> Result<Connection, Failure> {
    let lost = |error: tonic::transport::Error| Failure::Lost {
        message: with_sources(&error),
        sent: false,
    };
    let channel = Endpoint::from_shared(address.to_string())
        .map_err(lost)?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PING_PERIOD)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true)
        .connect()
        .await
        .map_err(lost)?;
    Ok(Authenticated::new(channel, key.cloned()))
}
