//! Whether the process of a coordinator whose connection broke has ended, or only the connection.

use std::io;
use std::time::Duration;

use convoy_common::address::CoordinatorAddress;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// True only if its host says that nobody listens there any more. A host that says nothing within `limit`, and whatever else
/// goes wrong, proves nothing.
pub(super) async fn has_ended(address: &CoordinatorAddress, limit: Duration) -> bool {
    let tried = timeout(limit, async {
        let host = address.host().trim_matches(['[', ']']);
        let stream = TcpStream::connect((host, address.port())).await?;
        first_word(stream).await
    });
    match tried.await {
        Ok(Err(error)) => says_nobody_listens(&error),
        Ok(Ok(())) | Err(_) => false,
    }
}

/// The queue of a listener takes connections until its process, which may be ending, has closed it; then they are reset.
async fn first_word(mut stream: TcpStream) -> io::Result<()> {
    // What it says does not matter, and its hanging up is no proof: something in between may have.
    stream.read(&mut [0]).await.map(drop)
}

fn says_nobody_listens(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset
    )
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream as Connection};

    use super::*;

    /// Far beyond what a machine takes to answer itself.
    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(20);

    fn listener() -> (TcpListener, CoordinatorAddress) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().into();
        (listener, address)
    }

    #[tokio::test]
    async fn where_nobody_listens_a_process_has_ended() {
        let (listener, address) = listener();
        drop(listener);
        assert!(has_ended(&address, LONG).await);
    }

    #[tokio::test]
    async fn listener_that_takes_a_connection_and_says_nothing_proves_nothing() {
        let (_listener, address) = listener();
        assert!(!has_ended(&address, SHORT).await);
    }

    #[tokio::test]
    async fn listener_that_hangs_up_proves_nothing() {
        let (listener, address) = listener();
        let hanging_up = std::thread::spawn(move || drop(listener.accept().unwrap()));
        assert!(!has_ended(&address, LONG).await);
        hanging_up.join().unwrap();
    }

    #[tokio::test]
    async fn connection_that_a_process_never_took_is_reset_when_it_ends() {
        let (listener, _) = listener();
        let waiting = Connection::connect(listener.local_addr().unwrap()).unwrap();
        drop(listener);
        waiting.set_nonblocking(true).unwrap();
        let waiting = TcpStream::from_std(waiting).unwrap();
        let error = first_word(waiting).await.unwrap_err();
        assert!(says_nobody_listens(&error), "{error}");
    }
}
