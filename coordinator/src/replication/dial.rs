//! Connections to other coordinators.

use std::time::Duration;

use convoy_access::ClusterKey;
use convoy_access::grpc::Authenticated;
use convoy_common::address::CoordinatorAddress;
use convoy_proto::raft::v1::raft_client::RaftClient;
use convoy_wire::sources::with_sources;
use tonic::transport::{Channel, Endpoint};

/// A host that does not answer within this is tried again; in the meantime nothing is lost but messages for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A peer that vanished without a word is noticed after both together, and dialled anew: after a partition is repaired, an old
/// connection may hang for as long again as it lasted.
const PING_PERIOD: Duration = Duration::from_secs(1);
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes on their way without an answer of the other end: a few messages full of entries.
pub(super) const WINDOW_BYTES: u32 = 4 << 20;

pub(super) type Client = RaftClient<Authenticated<Channel>>;

pub(super) async fn dial(
    address: &CoordinatorAddress,
    key: Option<&ClusterKey>,
) -> Result<Client, String> {
    let channel = Endpoint::from_shared(address.to_string())
        .map_err(|error| with_sources(&error))?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(2 * WINDOW_BYTES)
        .http2_keep_alive_interval(PING_PERIOD)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true)
        .connect()
        .await
        .map_err(|error| with_sources(&error))?;
    Ok(RaftClient::new(Authenticated::new(channel, key.cloned())))
}
