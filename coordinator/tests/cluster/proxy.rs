//! A way from one coordinator to another whose connections can be broken while both live.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Passes on what comes, both ways.
pub(crate) struct Proxy {
    breaks: watch::Sender<()>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(listen: SocketAddr, to: SocketAddr) -> Self {
        let listener = TcpListener::bind(listen).await.unwrap();
        let (breaks, broken) = watch::channel(());
        let accepting = tokio::spawn(async move {
            while let Ok((incoming, _)) = listener.accept().await {
                tokio::spawn(pass_on(incoming, to, broken.clone()));
            }
        });
        Self { breaks, accepting }
    }

    /// Breaks all connections; new ones are accepted.
    pub(crate) fn break_connections(&self) {
        self.breaks.send_replace(());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Until either end hangs up, or the connection is broken, or its proxy is gone.
async fn pass_on(mut incoming: TcpStream, to: SocketAddr, mut broken: watch::Receiver<()>) {
    broken.mark_unchanged();
    let Ok(mut outgoing) = TcpStream::connect(to).await else {
        return;
    };
    tokio::select! {
        _ = broken.changed() => {}
        // Either end may break off at any time.
        _ = copy_bidirectional(&mut incoming, &mut outgoing) => {}
    }
}
