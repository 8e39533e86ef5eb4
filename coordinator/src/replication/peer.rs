//! The way to one other replica: one long stream, opened again when it breaks.

use std::time::Duration;

use convoy_common::address::CoordinatorAddress;
use convoy_consensus::ReplicaId;
use convoy_proto::raft::v1;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::dial::dial;
use super::outbox::Network;
use super::request::Request;

/// Between two tries. Short beside an election timeout: a replica that comes back is heard at once.
const REDIAL_PERIOD: Duration = Duration::from_millis(100);

/// Messages are put together up to so many bytes, so that small ones share a frame.
const BATCH_BYTES: usize = 1 << 20;

/// Batches that are ready to be sent; beyond, messages wait in the queue.
const READY_BATCHES: usize = 2;

/// Sends what is queued to one replica.
pub(super) struct Peer {
    to: ReplicaId,
    queue: mpsc::Receiver<v1::RaftMessage>,
    network: Network,
    /// Why nothing gets through; told once.
    trouble: Option<String>,
}

/// Why a stream is over.
enum End {
    /// Nothing will be sent any more.
    Unused,
    /// The replica is somewhere else now.
    Moved,
    Broken(String),
}

impl Peer {
    pub(super) fn new(
        to: ReplicaId,
        queue: mpsc::Receiver<v1::RaftMessage>,
        network: Network,
    ) -> Self {
        Self {
            to,
            queue,
            network,
            trouble: None,
        }
    }

    /// Until nothing will be sent any more.
    pub(super) async fn run(mut self) {
        while let Some(first) = self.queue.recv().await {
            let address = self.address();
            let end = match &address {
                Some(address) => self.deliver(first, address).await,
                None => End::Broken("its address is not known".to_owned()),
            };
            match end {
                End::Unused => return,
                End::Moved => {}
                End::Broken(reason) => {
                    let address = address.map_or_else(String::new, |address| address.to_string());
                    if self.trouble.as_ref() != Some(&reason) {
                        tracing::warn!(to = %self.to, address, reason, "nothing gets through to a coordinator");
                        self.trouble = Some(reason);
                    }
                    self.pause().await;
                }
            }
        }
    }

    fn address(&self) -> Option<CoordinatorAddress> {
        self.network.addresses.borrow().of(self.to).cloned()
    }

    /// What waits meanwhile is of no use later.
    async fn pause(&mut self) {
        // The replica's driver may have ended, or have more urgent things to read.
        let _ = self
            .network
            .requests
            .try_send(Request::Unreachable(self.to));
        sleep(REDIAL_PERIOD).await;
        while self.queue.try_recv().is_ok() {}
    }

    async fn deliver(&mut self, first: v1::RaftMessage, address: &CoordinatorAddress) -> End {
        let (batches, ready) = mpsc::channel(READY_BATCHES);
        let hello = v1::Delivery {
            introduction: Some(self.network.introduction.clone()),
            messages: vec![first],
        };
        // The queue is empty.
        let _ = batches.try_send(hello);
        let opened = async {
            let mut client = dial(address, self.network.key.as_ref()).await?;
            let answers = client.deliver(ReceiverStream::new(ready)).await;
            answers.map_err(|status| status.message().to_owned())
        };
        match opened.await {
            Err(reason) => End::Broken(reason),
            Ok(answers) => {
                tracing::info!(to = %self.to, %address, "connected");
                self.trouble = None;
                self.pass_on(answers.into_inner(), &batches, address).await
            }
        }
    }

    async fn pass_on(
        &mut self,
        mut answers: Streaming<v1::Delivered>,
        batches: &mpsc::Sender<v1::Delivery>,
        address: &CoordinatorAddress,
    ) -> End {
        let mut addresses = self.network.addresses.clone();
        loop {
            let first = tokio::select! {
                biased;
                answer = answers.message() => return ended(answer),
                Ok(()) = addresses.changed() => {
                    if addresses.borrow().of(self.to) == Some(address) {
                        continue;
                    }
                    return End::Moved;
                }
                first = self.queue.recv() => first,
            };
            let Some(first) = first else {
                return End::Unused;
            };
            let delivery = v1::Delivery {
                introduction: None,
                messages: self.batch(first),
            };
            tokio::select! {
                biased;
                answer = answers.message() => return ended(answer),
                sent = batches.send(delivery) => {
                    if sent.is_err() {
                        return End::Broken("the connection broke".to_owned());
                    }
                }
            }
        }
    }

    /// What waits, up to a limit.
    fn batch(&mut self, first: v1::RaftMessage) -> Vec<v1::RaftMessage> {
        let mut bytes = first.encoded_len();
        let mut messages = vec![first];
        while bytes < BATCH_BYTES
            && let Ok(message) = self.queue.try_recv()
        {
            bytes += message.encoded_len();
            messages.push(message);
        }
        messages
    }
}

fn ended(answer: Result<Option<v1::Delivered>, tonic::Status>) -> End {
    End::Broken(match answer {
        Ok(_) => "it reads no further".to_owned(),
        Err(status) => status.message().to_owned(),
    })
}
