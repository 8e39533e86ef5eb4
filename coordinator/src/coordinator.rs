//! A coordinator as its owner sees it: start, address, shutdown.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use convoy_common::listen::OpenToStrangers;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::api;
use crate::config::EmbeddedConfig;
use crate::consensus::InMemoryLog;
use crate::leader::{Event, Leader, run};

/// Events that wait for the leader; peers wait when it is full. Enough for a burst of one report from each of many peers.
const EVENT_QUEUE: usize = 4_096;

/// How long connections may take to end in a shutdown, before they are cut.
const DRAIN: Duration = Duration::from_secs(2);

/// A running coordinator. Dropped without [`Coordinator::shutdown`], it goes on until its runtime ends.
#[derive(Debug)]
pub struct Coordinator {
    address: SocketAddr,
    events: mpsc::Sender<Event>,
    stop_server: oneshot::Sender<()>,
    leader: JoinHandle<()>,
    server: JoinHandle<()>,
}

/// Why a coordinator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process listens there.
    #[error("{address} is in use: choose another with --listen or stop the process that holds it")]
    AddressInUse {
        /// Where it was to listen.
        address: SocketAddr,
    },
    /// Strangers could come in.
    #[error(transparent)]
    Open(#[from] OpenToStrangers),
    /// The system refused.
    #[error("can't listen on {address}: {source}; choose another with --listen")]
    Listen {
        /// Where it was to listen.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl Coordinator {
    /// Binds the address and starts to serve on the current tokio runtime.
    ///
    /// # Errors
    /// If strangers could come in at the address, it is in use or can't be listened on.
    pub async fn start(config: EmbeddedConfig) -> Result<Self, StartError> {
        let asked = config.listen;
        config.access.check_listen(asked.ip())?;
        let refused = |source: io::Error| match source.kind() == io::ErrorKind::AddrInUse {
            true => StartError::AddressInUse { address: asked },
            false => StartError::Listen {
                address: asked,
                source,
            },
        };
        let listener = TcpListener::bind(asked).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let (events, inbox) = mpsc::channel(EVENT_QUEUE);
        let (stop_server, stopped) = oneshot::channel();
        let serving = api::Serving {
            listener,
            hello: config.timings.hello,
            key: config.access.key().cloned(),
        };
        let server = api::serve(serving, events.clone(), stopped);
        let leader = Leader::new(InMemoryLog::default(), config);
        tracing::info!(%address, "coordinator listens");
        Ok(Self {
            address,
            events,
            stop_server,
            leader: tokio::spawn(run(leader, inbox)),
            server: tokio::spawn(server),
        })
    }

    /// Where it listens, with the port that the system chose if it was asked to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all sessions and frees the port. Connections that don't end by themselves are cut after two seconds.
    pub async fn shutdown(self) {
        let Self {
            events,
            stop_server,
            leader,
            mut server,
            ..
        } = self;
        // Either task may have ended already, in a panic or because its runtime ends: nothing is left to tell it then.
        let _ = events.send(Event::Shutdown).await;
        let _ = leader.await;
        let _ = stop_server.send(());
        if tokio::time::timeout(DRAIN, &mut server).await.is_err() {
            server.abort();
            let _ = server.await;
        }
    }
}
