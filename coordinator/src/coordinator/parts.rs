//! The parts of a coordinator: leader loop, server and replica, how they begin and in which order they end.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use convoy_state_machine::Cluster;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::StartError;
use crate::api;
use crate::config::CoordinatorSettings;
use crate::leader::{Beginning, Event, Leader, run};
use crate::replication::{Directory, Failure, Replication, StartReplication, Started};

/// Events that wait for the leader; peers wait when it is full. Enough for a burst of one report from each of many peers.
const EVENT_QUEUE: usize = 4_096;

/// How long connections may take to end in a shutdown, before they are cut.
const DRAIN: Duration = Duration::from_secs(2);

/// How long another may take to lead in a shutdown. Two election timeouts of the defaults and a fsync on a slow disk; whoever
/// waits longer learns no more.
const HAND_OVER: Duration = Duration::from_secs(3);

/// All of them, on the current runtime.
pub(super) struct Parts {
    address: SocketAddr,
    events: mpsc::Sender<Event>,
    stopping: watch::Sender<bool>,
    stop_server: oneshot::Sender<()>,
    leader: JoinHandle<()>,
    server: JoinHandle<()>,
    replication: Replication,
    directory: Directory,
}

impl Parts {
    pub(super) async fn start(settings: CoordinatorSettings) -> Result<Self, StartError> {
        let (listener, address) = listen(&settings).await?;
        let key = settings.access.key().cloned();
        let (events, inbox) = mpsc::channel(EVENT_QUEUE);
        let (stopping, stops) = watch::channel(false);
        let failure = Failure::of(settings.failures);
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
            failure: failure.clone(),
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
            leader: failure.supervise("leader loop", run(leader, log_events, inbox)),
            server: failure.supervise("server", api::serve(serving, stopped)),
            replication,
            directory,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) async fn shutdown(self) {
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
        // Each task may have ended already, in a panic: nothing is left to tell it then.
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
