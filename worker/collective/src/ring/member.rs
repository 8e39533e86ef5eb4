//! Who is in a ring, and where it listens.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::ops::RangeInclusive;

use convoy_access::{Access, ClusterKey};
use convoy_common::ids::{Attempt, Incarnation, JobId, Rank};

use crate::error::{CollectiveError, Failure};

/// Which ring this is, and who this member is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The job that trains.
    pub job: JobId,
    /// The attempt that this ring is built for.
    pub attempt: Attempt,
    /// This member's place, below `world`.
    pub rank: Rank,
    /// Members of the ring.
    pub world: u32,
    /// The life of this member's process.
    pub incarnation: Incarnation,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            job,
            attempt,
            rank,
            world,
            incarnation,
        } = self;
        write!(
            f,
            "rank {rank} of {world} (job {job}, attempt {attempt}, incarnation {incarnation})"
        )
    }
}

/// A neighbour in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its place.
    pub rank: Rank,
    /// Where it listens.
    pub address: SocketAddr,
    /// The life of its process; another one is refused.
    pub incarnation: Incarnation,
}

/// Where the previous rank of each ring connects to. Made once per process and used for one ring after the other. Its
/// cluster key, if it has one, goes for both neighbours.
#[derive(Debug)]
pub struct RingListener {
    listener: TcpListener,
    address: SocketAddr,
    key: Option<ClusterKey>,
}

impl RingListener {
    /// Listens on a loopback `address` and asks nobody for a key; port 0 takes a free one.
    ///
    /// # Errors
    /// [`Failure::Open`] for another address, [`Failure::System`] if it is not to be had.
    pub fn bind(address: SocketAddr) -> Result<Self, CollectiveError> {
        let port = address.port();
        Self::bind_within(address.ip(), port..=port, &Access::Loopback)
    }

    /// Listens on the first of these ports that is free; 0 takes any. With a key both neighbours must know it.
    ///
    /// # Errors
    /// [`Failure::Open`] if strangers could come in, [`Failure::System`] if there is no such address or no free port.
    pub fn bind_within(
        host: IpAddr,
        ports: RangeInclusive<u16>,
        access: &Access,
    ) -> Result<Self, CollectiveError> {
        access.check_listen(host).map_err(Failure::Open)?;
        let listen = |port: u16| {
            let listener = TcpListener::bind(SocketAddr::new(host, port))?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            let key = access.key().cloned();
            Ok(Self {
                listener,
                address,
                key,
            })
        };
        let (first, last) = (*ports.start(), *ports.end());
        let mut source = io::Error::from(io::ErrorKind::AddrInUse);
        for port in ports {
            match listen(port) {
                Ok(listening) => return Ok(listening),
                Err(error) => source = error,
            }
            if source.kind() != io::ErrorKind::AddrInUse {
                break;
            }
        }
        let ports = if first == last {
            first.to_string()
        } else {
            format!("any port from {first} to {last}")
        };
        let operation = format!("listen for ring neighbours on {host}, {ports}");
        Err(Failure::System { operation, source }.into())
    }

    /// Where it listens, with the port that it got.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn listener(&self) -> &TcpListener {
        &self.listener
    }

    pub(super) fn key(&self) -> Option<&ClusterKey> {
        self.key.as_ref()
    }
}
