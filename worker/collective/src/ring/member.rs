//! Who is in a ring, and where it listens.

use std::fmt;
use std::net::{SocketAddr, TcpListener};

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

/// Where the previous rank of each ring connects to. Made once per process and used for one ring after the other.
#[derive(Debug)]
pub struct RingListener {
    listener: TcpListener,
    address: SocketAddr,
}

impl RingListener {
    /// Listens on `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// [`Failure::System`] if the address is not to be had.
    pub fn bind(address: SocketAddr) -> Result<Self, CollectiveError> {
        let listen = || {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        };
        listen().map_err(|source| {
            Failure::System {
                operation: format!("listen for ring neighbours on {address}"),
                source,
            }
            .into()
        })
    }

    /// Where it listens, with the port that it got.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn listener(&self) -> &TcpListener {
        &self.listener
    }
}
