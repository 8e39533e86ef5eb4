//! A connection that is made without waiting for it.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

/// After this long without an answer to a connection request, a new one is made.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// How far a connection is.
pub(super) enum Connected {
    Yes(TcpStream),
    NotYet(TcpStream),
}

/// Sends the request; the socket becomes writable when it was answered.
pub(super) fn begin_connect(address: SocketAddr) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = socket_with(
        family,
        SocketType::STREAM,
        SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
        None,
    )?;
    match connect(&socket, &address) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Looks whether the request was answered.
pub(super) fn finish_connect(stream: TcpStream) -> io::Result<Connected> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        // A connection request to a free port of the own machine can meet itself (simultaneous open).
        Ok(peer) if stream.local_addr().is_ok_and(|own| own == peer) => {
            Err(io::Error::other("nobody listens there"))
        }
        Ok(_) => Ok(Connected::Yes(stream)),
        Err(_) => Ok(Connected::NotYet(stream)),
    }
}
