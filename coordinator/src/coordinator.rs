//! A coordinator as its owner sees it: start, address, shutdown.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use convoy_common::listen::OpenToStrangers;
use convoy_state_machine::Cluster;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::api;
use crate::config::CoordinatorSettings;
use crate::leader::{Beginning, Event, Leader, run};
use crate::replication::{
    Directory, Failure, Replication, ReplicationError, StartReplication, Started,
};

/// Events that wait for the leader; peers wait when it is full. Enough for a burst of one report from each of many peers.
const EVENT_QUEUE: usize = 4_096;

/// How long connections may take to end in a shutdown, before they are cut.
const DRAIN: Duration = Duration::from_secs(2);

/// How long another may take to lead in a shutdown. Two election timeouts of the defaults and a fsync on a slow disk; whoever
/// waits longer learns no more.
const HAND_OVER: Duration = Duration::from_secs(3);

/// A running coordinator. Dropped without [`Coordinator::shutdown`], it goes on until its runtime ends.
#[derive(Debug)]
pub struct Coordinator {
    address: SocketAddr,
    events: mpsc::Sender<Event>,
    stopping: watch::Sender<bool>,
    stop_server: oneshot::Sender<()>,
    leader: JoinHandle<()>,
    server: JoinHandle<()>,
    replication: Replication,
    directory: Directory,
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
    /// Its replica of the log did not come up.
    #[error(transparent)]
    Replication(#[from] ReplicationError),
}

impl Coordinator {
    /// Binds the address, opens the data folder and starts to serve on the current tokio runtime.
    ///
    /// # Errors
    /// If strangers could come in at the address, it is in use or can't be listened on; if the data folder can't be used.
    pub async fn start(settings: CoordinatorSettings) -> Result<Self, StartError> {
        let (listener, address) = listen(&settings).await?;
        let key = settings.access.key().cloned();
        let (events, inbox) = mpsc::channel(EVENT_QUEUE);
        let (stopping, stops) = watch::channel(false);
        let failure = settings.failures.map_or(Failure::Abort, Failure::Tell);
        let advertised = settings.advertised.unwrap_or_else(|| address.into());
        let Started {
            replication,
            log,
            events: log_events,
            cluster,
            service: raft,
            directory,
            introduction,
        } = StartReplication {
            settings: settings.replica,
            initial: Cluster::with_first_job(settings.first_job),
            advertised,
            key: key.clone(),
            failure: failure.clone(),
            leader_inbox: events.clone(),
            stopping: stops,
        }
        .start()?;
        let leader = Leader::new(Beginning {
            log,
            cluster,
            directory: directory.clone(),
            introduction,
            timings: settings.timings.clone(),
            shutdown_ends_agents: settings.shutdown_ends_agents,
            failure,
        });
        let (stop_server, stopped) = oneshot::channel();
        let serving = api::Serving {
            listener,
            hello: settings.timings.hello,
            key,
            events: events.clone(),
            directory: directory.clone(),
            replica: replication.handle(),
            raft,
        };
        tracing::info!(%address, "coordinator listens");
        Ok(Self {
            address,
            events,
            stopping,
            stop_server,
            leader: tokio::spawn(run(leader, log_events, inbox)),
            server: tokio::spawn(api::serve(serving, stopped)),
            replication,
            directory,
        })
    }

    /// Where it listens, with the port that the system chose if it was asked to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Hands leadership over if it leads others, ends all sessions, and frees port and data folder. Takes a few seconds at
    /// most: connections that don't end by themselves are cut.
    pub async fn shutdown(self) {
        self.hand_over().await;
        let Self {
            events,
            stopping,
            stop_server,
            leader,
            mut server,
            replication,
            ..
        } = self;
        // Each task may have ended already, in a panic or because its runtime ends: nothing is left to tell it then.
        let _ = events.send(Event::Shutdown).await;
        let _ = leader.await;
        stopping.send_replace(true);
        let _ = stop_server.send(());
        if timeout(DRAIN, &mut server).await.is_err() {
            server.abort();
            let _ = server.await;
        }
        replication.stop().await;
    }

    async fn hand_over(&self) {
        if !self.directory.leads() {
            return;
        }
        match self.replication.handle().transfer(None).await {
            Err(why) => tracing::info!(%why, "leadership is not handed over"),
            Ok(to) => {
                let mut directory = self.directory.clone();
                match timeout(HAND_OVER, directory.another_leads()).await {
                    Ok(leader) => tracing::info!(?leader, "another leads"),
                    Err(_) => tracing::warn!(%to, limit = ?HAND_OVER, "nobody took over in time"),
                }
            }
        }
    }
}

async fn listen(settings: &CoordinatorSettings) -> Result<(TcpListener, SocketAddr), StartError> {
    let asked = settings.listen;
    settings.access.check_listen(asked.ip())?;
    let refused = |source: io::Error| match source.kind() == io::ErrorKind::AddrInUse {
        true => StartError::AddressInUse { address: asked },
        false => StartError::Listen {
            address: asked,
            source,
        },
    };
    let listener = TcpListener::bind(asked).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    Ok((listener, address))
}
