//! One connection to a neighbour.

use std::fmt;
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::{RecvFlags, SendFlags, recv, send, sockopt};

use super::member::Peer;
use crate::error::{CollectiveError, Failure};

/// Room for what the next rank has not read yet: enough to keep bytes flowing while it reduces what it has.
/// Linux doubles the figure and caps it at `net.core.wmem_max`.
const SEND_BUFFER_BYTES: usize = 1 << 20;

/// A connected, non-blocking socket and who is at its other end.
#[derive(Debug)]
pub(super) struct Link {
    stream: TcpStream,
    peer: Peer,
}

impl Link {
    /// Takes over the socket of a finished handshake.
    pub(super) fn new(stream: TcpStream, peer: Peer) -> Result<Self, CollectiveError> {
        let prepare = || {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            sockopt::set_socket_send_buffer_size(&stream, SEND_BUFFER_BYTES)?;
            Ok(())
        };
        prepare().map_err(|source: io::Error| Failure::System {
            operation: format!(
                "set up the connection with rank {} at {}",
                peer.rank, peer.address
            ),
            source,
        })?;
        Ok(Self { stream, peer })
    }

    pub(super) fn peer(&self) -> Peer {
        self.peer
    }

    /// Sends what the socket takes now, `None` if that is nothing. `more` says that the next call follows at once.
    pub(super) fn send(&self, bytes: &[u8], more: bool) -> io::Result<Option<usize>> {
        let mut flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        flags.set(SendFlags::MORE, more);
        if_ready(|| send(&self.stream, bytes, flags))
    }

    /// Receives what has arrived, `None` if that is nothing. The end of the connection is an error.
    pub(super) fn receive(&self, bytes: &mut [u8]) -> io::Result<Option<usize>> {
        let received = if_ready(|| {
            recv(&self.stream, &mut *bytes, RecvFlags::DONTWAIT).map(|(_, length)| length)
        })?;
        if received == Some(0) {
            Err(closed())
        } else {
            Ok(received)
        }
    }

    /// Why a socket that reported its end did so.
    pub(super) fn end(&self) -> io::Error {
        self.stream
            .take_error()
            .ok()
            .flatten()
            .unwrap_or_else(closed)
    }

    /// The neighbour is gone.
    pub(super) fn lost(&self, how: io::Error, during: impl fmt::Display) -> CollectiveError {
        let Peer { rank, address, .. } = self.peer;
        Failure::PeerLost {
            rank,
            address: address.to_string(),
            during: during.to_string(),
            how,
        }
        .into()
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection")
}

fn if_ready(mut transfer: impl FnMut() -> rustix::io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match transfer() {
            Ok(bytes) => return Ok(Some(bytes)),
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
