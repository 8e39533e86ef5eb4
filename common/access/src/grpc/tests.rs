//! Over real connections: who is let in, and whom a client believes.

use std::net::SocketAddr;

use convoy_proto::v1;
use convoy_proto::v1::jobs_client::JobsClient;
use convoy_proto::v1::jobs_server::{Jobs, JobsServer};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status};

use super::{AccessLayer, Authenticated};
use crate::key::ClusterKey;

/// Knows one job and refuses all others.
struct OneJob;

#[tonic::async_trait]
impl Jobs for OneJob {
    type WatchStream = tokio_stream::Iter<std::vec::IntoIter<Result<v1::JobView, Status>>>;

    async fn submit(
        &self,
        _: Request<v1::SubmitRequest>,
    ) -> Result<Response<v1::SubmitReply>, Status> {
        Err(Status::unimplemented("no"))
    }

    async fn cancel(
        &self,
        _: Request<v1::CancelRequest>,
    ) -> Result<Response<v1::CancelReply>, Status> {
        Err(Status::unimplemented("no"))
    }

    async fn describe(
        &self,
        request: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::JobView>, Status> {
        assert!(
            !request.metadata().contains_key("convoy-auth"),
            "services see no proof"
        );
        match request.into_inner().job_id {
            id if id == "toy-1" => Ok(Response::new(v1::JobView {
                job_id: id,
                ..Default::default()
            })),
            id => Err(Status::not_found(format!("there is no job {id}"))),
        }
    }

    async fn watch(
        &self,
        _: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let views = vec![Ok(v1::JobView::default()); 2];
        Ok(Response::new(tokio_stream::iter(views)))
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
        .add_service(JobsServer::new(OneJob))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(server);
    address
}

type Client = JobsClient<Authenticated<Channel>>;

async fn client(address: SocketAddr, key: Option<ClusterKey>) -> Client {
    let channel = Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect()
        .await
        .unwrap();
    JobsClient::new(Authenticated::new(channel, key))
}

async fn describe(client: &mut Client, job: &str) -> Result<String, Status> {
    let request = v1::DescribeRequest {
        job_id: job.to_owned(),
    };
    let view = client.describe(request).await?;
    Ok(view.into_inner().job_id)
}

async fn outcome(server_key: Option<u8>, client_key: Option<u8>) -> Result<String, Status> {
    let address = server(server_key.map(key)).await;
    let mut client = client(address, client_key.map(key)).await;
    describe(&mut client, "toy-1").await
}

#[tokio::test]
async fn calls_and_streams_pass_where_both_ends_have_the_key() {
    let address = server(Some(key(1))).await;
    let mut client = client(address, Some(key(1))).await;
    for _ in 0..3 {
        assert_eq!(describe(&mut client, "toy-1").await.unwrap(), "toy-1");
    }
    let mut views = client
        .watch(v1::WatchRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert!(views.message().await.unwrap().is_some());
    assert!(views.message().await.unwrap().is_some());
    assert!(views.message().await.unwrap().is_none());
    let status = describe(&mut client, "toy-2").await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::NotFound, "there is no job toy-2"),
        "what the service refuses arrives as it is"
    );
}

#[tokio::test]
async fn without_keys_nothing_is_asked() {
    assert_eq!(outcome(None, None).await.unwrap(), "toy-1");
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
    let status = describe(&mut client, "toy-2").await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated, "{status}");
}
