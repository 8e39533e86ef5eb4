//! The little of etcd's protocol that a comparison needs, from its `rpc.proto` and `kv.proto` (version 3.4): a client
//! library would bring a second tonic into the build.

use prost::Message;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

#[derive(Clone, PartialEq, Message)]
struct PutRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct PutResponse {}

/// Linearizable, as long as field 7 does not say otherwise.
#[derive(Clone, PartialEq, Message)]
struct RangeRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct RangeResponse {
    #[prost(message, repeated, tag = "2")]
    found: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(bytes = "vec", tag = "5")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct StatusRequest {}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StatusResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<ResponseHeader>,
    #[prost(uint64, tag = "4")]
    leader: u64,
    #[prost(uint64, tag = "7")]
    raft_applied_index: u64,
}

#[derive(Clone, PartialEq, Message)]
struct ResponseHeader {
    #[prost(uint64, tag = "2")]
    member_id: u64,
}

impl StatusResponse {
    /// Whether whoever answered leads.
    pub(super) fn leads(&self) -> bool {
        let own = self.header.as_ref().map(|header| header.member_id);
        self.leader != 0 && own == Some(self.leader)
    }

    /// The last entry of the log that its state contains.
    pub(super) fn applied(&self) -> u64 {
        self.raft_applied_index
    }
}

/// A stub.
#[derive(Clone)]
pub(super) struct Kv(Grpc<Channel>);

impl Kv {
    pub(super) fn new(channel: Channel) -> Self {
        Self(Grpc::new(channel))
    }

    pub(super) async fn put(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), Status> {
        let path = "/etcdserverpb.KV/Put";
        let PutResponse {} = self.call(path, PutRequest { key, value }).await?;
        Ok(())
    }

    /// Bytes of the value; 0 where there is none.
    pub(super) async fn get(&mut self, key: Vec<u8>) -> Result<usize, Status> {
        let path = "/etcdserverpb.KV/Range";
        let RangeResponse { found } = self.call(path, RangeRequest { key }).await?;
        Ok(found.first().map_or(0, |found| found.value.len()))
    }

    pub(super) async fn status(&mut self) -> Result<StatusResponse, Status> {
        let path = "/etcdserverpb.Maintenance/Status";
        self.call(path, StatusRequest {}).await
    }

    async fn call<Asked, Answer>(
        &mut self,
        path: &'static str,
        request: Asked,
    ) -> Result<Answer, Status>
    where
        Asked: Message + 'static,
        Answer: Message + Default + 'static,
    {
        let gone = |error: tonic::transport::Error| Status::unavailable(error.to_string());
        self.0.ready().await.map_err(gone)?;
        let codec = ProstCodec::<Asked, Answer>::default();
        let path = PathAndQuery::from_static(path);
        let answer = self.0.unary(Request::new(request), path, codec).await?;
        Ok(answer.into_inner())
    }
}
