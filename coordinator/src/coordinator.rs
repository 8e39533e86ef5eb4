//! A coordinator as its owner sees it: start, address, end.
//!
//! Everything of a coordinator runs on one thread, its own ([`parts`]). What a client writes passes from the server to the
//! leader loop, to the replica and to the tasks that speak with the others, and all of it back; on one thread these are
//! turns of its scheduler, and no other thread has to wake up for any of them.
//!
//! The thread waits for the disk too. A coordinator whose disk stalls is silent to everyone, and is left for another; one that
//! still answered pings would be waited for.

mod parts;

use std::io;
use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use convoy_common::listen::OpenToStrangers;
use tokio::sync::oneshot;

use crate::config::CoordinatorSettings;
use crate::replication::ReplicationError;
use parts::Parts;

/// How long threads of its own may go on that nobody waits for any more.
const LEFT_OVERS: Duration = Duration::from_millis(500);

/// A running coordinator. Dropped without [`Coordinator::shutdown`], it ends at once and without a word, as if it was killed.
#[derive(Debug)]
pub struct Coordinator {
    address: SocketAddr,
    /// Dropped, it asks for an end without any order.
    shutdown: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// Why a coordinator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process listens there.
    #[error(
        "{address} is in use: stop the process that holds it, or have the coordinator listen elsewhere (`listen` in its \
         configuration file, --listen of `convoy run`)"
    )]
    AddressInUse {
        /// Where it was to listen.
        address: SocketAddr,
    },
    /// Strangers could come in.
    #[error(transparent)]
    Open(#[from] OpenToStrangers),
    /// The system refused.
    #[error(
        "can't listen on {address}: {source}; have the coordinator listen elsewhere (`listen` in its configuration file, \
         --listen of `convoy run`)"
    )]
    Listen {
        /// Where it was to listen.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Its replica of the log did not come up.
    #[error(transparent)]
    Replication(#[from] ReplicationError),
    /// No thread could be started, or it has no timers and sockets.
    #[error("no thread for the coordinator: {0}")]
    Thread(io::Error),
}

impl Coordinator {
    /// Binds the address, opens the data folder and starts to serve, on a thread of its own.
    ///
    /// # Errors
    /// If strangers could come in at the address, it is in use or can't be listened on; if the data folder can't be used; if
    /// the system has no thread left.
    pub async fn start(settings: CoordinatorSettings) -> Result<Self, StartError> {
        let (started, starting) = oneshot::channel();
        let (shutdown, asked) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("coordinator".to_owned())
            .spawn(move || run(settings, started, asked))
            .map_err(StartError::Thread)?;
        let ended = |_| StartError::Thread(io::Error::other("it ended while it started"));
        let address = starting.await.map_err(ended)??;
        Ok(Self {
            address,
            shutdown,
            thread,
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
        // It may have ended already, because its replica could not go on.
        let _ = self.shutdown.send(());
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the thread of the coordinator panicked");
        }
    }
}

/// The thread. Whatever still runs on it when it ends is dropped.
fn run(
    settings: CoordinatorSettings,
    started: oneshot::Sender<Result<SocketAddr, StartError>>,
    asked: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    // Whoever started it may have given up; then `asked` is closed too.
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = started.send(Err(StartError::Thread(error)));
            return;
        }
    };
    runtime.block_on(serve(settings, started, asked));
    // Files that are read and names that are looked up for nobody any more.
    runtime.shutdown_timeout(LEFT_OVERS);
}

async fn serve(
    settings: CoordinatorSettings,
    started: oneshot::Sender<Result<SocketAddr, StartError>>,
    asked: oneshot::Receiver<()>,
) {
    let parts = match Parts::start(settings).await {
        Ok(parts) => parts,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    let _ = started.send(Ok(parts.address()));
    if asked.await.is_ok() {
        parts.shutdown().await;
    }
}
