//! Over real connections: who is let in, and whom a client believes.

use std::net::SocketAddr;

use convoy_proto::v1;
use convoy_proto::v1::agents_client::AgentsClient;
use convoy_proto::v1::agents_server::{Agents, AgentsServer};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status, Streaming};

use super::{AccessLayer, Authenticated};
use crate::key::ClusterKey;

/// Says two things to the node "n1" and refuses all others.
struct OneNode;

#[tonic::async_trait]
impl Agents for OneNode {
    type SessionStream = tokio_stream::Iter<std::vec::IntoIter<Result<v1::AgentDirective, Status>>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::AgentReport>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        assert!(
            !request.metadata().contains_key("convoy-auth"),
            "services see no proof"
        );
        let first = request.into_inner().message().await?;
        match first.and_then(|message| message.report) {
            Some(v1::agent_report::Report::Hello(hello)) if hello.node_id == "n1" => {
                let said = vec![Ok(v1::AgentDirective::default()); 2];
                Ok(Response::new(tokio_stream::iter(said)))
            }
            other => Err(Status::not_found(format!("not n1 but {other:?}"))),
        }
    }
}

fn key(first: u8) -> ClusterKey {
    let secret: [u8; 32] = std::array::from_fn(|at| first.wrapping_add(at as u8));
    ClusterKey::new(&secret).unwrap()
}

async fn server(key: Option<ClusterKey>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder()
        .layer(AccessLayer::new(key))
        .add_service(AgentsServer::new(OneNode))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(server);
    address
}

type Client = AgentsClient<Authenticated<Channel>>;

async fn client(address: SocketAddr, key: Option<ClusterKey>) -> Client {
    let channel = Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect()
        .await
        .unwrap();
    AgentsClient::new(Authenticated::new(channel, key))
}

/// How many things a node is told.
async fn told(client: &mut Client, node: &str) -> Result<usize, Status> {
    let hello = v1::AgentHello {
        node_id: node.to_owned(),
        ..Default::default()
    };
    let report = v1::AgentReport {
        report: Some(v1::agent_report::Report::Hello(hello)),
    };
    let mut session = client
        .session(tokio_stream::once(report))
        .await?
        .into_inner();
    let mut told = 0;
    while session.message().await?.is_some() {
        told += 1;
    }
    Ok(told)
}

async fn outcome(server_key: Option<u8>, client_key: Option<u8>) -> Result<usize, Status> {
    let address = server(server_key.map(key)).await;
    let mut client = client(address, client_key.map(key)).await;
    told(&mut client, "n1").await
}

#[tokio::test]
async fn calls_pass_where_both_ends_have_the_key() {
    let address = server(Some(key(1))).await;
    let mut client = client(address, Some(key(1))).await;
    for _ in 0..3 {
        assert_eq!(told(&mut client, "n1").await.unwrap(), 2);
    }
    let status = told(&mut client, "n2").await.unwrap_err();
    assert_eq!(
        status.code(),
        Code::NotFound,
        "what the service refuses arrives as it is"
    );
    assert!(status.message().starts_with("not n1"), "{status}");
}

#[tokio::test]
async fn without_keys_nothing_is_asked() {
    assert_eq!(outcome(None, None).await.unwrap(), 2);
}

#[tokio::test]
async fn caller_without_the_key_is_refused_and_told_what_to_do() {
    let status = outcome(Some(1), None).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(
        status.message().contains("--cluster-key FILE"),
        "{}",
        status.message()
    );
}

#[tokio::test]
async fn caller_with_another_key_is_refused() {
    let status = outcome(Some(1), Some(2)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(
        status.message().contains("not the one of this cluster"),
        "{}",
        status.message()
    );
}

#[tokio::test]
async fn server_without_the_key_is_not_believed() {
    let status = outcome(None, Some(1)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(
        status
            .message()
            .contains("without a proof of the cluster key"),
        "{}",
        status.message()
    );
}

#[tokio::test]
async fn refusal_by_a_server_without_the_key_is_not_believed_either() {
    let address = server(None).await;
    let mut client = client(address, Some(key(1))).await;
    let status = told(&mut client, "n2").await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated, "{status}");
}
