//! Members of test rings.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use convoy_collective::{AbortHandle, CollectiveError, Identity, Peer, RingListener, TcpRing};
use convoy_common::ids::{Attempt, Incarnation, JobId, Rank};

/// Long enough for a loaded machine; only reached when something hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

pub(crate) fn listener() -> RingListener {
    RingListener::bind(loopback()).unwrap()
}

pub(crate) fn attempt(counter: u64) -> Attempt {
    Attempt { term: 3, counter }
}

pub(crate) fn identity(rank: u32, world: u32) -> Identity {
    Identity {
        job: JobId::try_from("fashion-1".to_owned()).unwrap(),
        attempt: attempt(5),
        rank: Rank(rank),
        world,
        incarnation: incarnation(rank),
    }
}

pub(crate) fn incarnation(rank: u32) -> Incarnation {
    Incarnation(u64::from(rank) + 100)
}

pub(crate) fn peer(rank: u32, address: SocketAddr) -> Peer {
    Peer {
        rank: Rank(rank),
        address,
        incarnation: incarnation(rank),
    }
}

/// Everything that one member needs to connect.
pub(crate) struct Seat {
    pub(crate) listener: RingListener,
    pub(crate) me: Identity,
    pub(crate) next: Peer,
    pub(crate) previous: Peer,
    pub(crate) abort: AbortHandle,
}

impl Seat {
    pub(crate) fn connect(&self, limit: Duration) -> Result<TcpRing, CollectiveError> {
        let Self {
            listener,
            me,
            next,
            previous,
            abort,
        } = self;
        TcpRing::connect(listener, me.clone(), *next, *previous, limit, abort.clone())
    }
}

/// Seats of a ring of `world` members that know each other.
pub(crate) fn seats(world: u32) -> Vec<Seat> {
    seats_with(world, listener)
}

/// The same, with listeners of one's own.
pub(crate) fn seats_with(world: u32, listener: impl Fn() -> RingListener) -> Vec<Seat> {
    let listeners: Vec<_> = (0..world).map(|_| listener()).collect();
    let addresses: Vec<_> = listeners.iter().map(RingListener::local_addr).collect();
    let neighbour = |rank: u32| peer(rank % world, addresses[(rank % world) as usize]);
    let seat = |(listener, rank): (RingListener, u32)| Seat {
        listener,
        me: identity(rank, world),
        next: neighbour(rank + 1),
        previous: neighbour(rank + world - 1),
        abort: AbortHandle::new(),
    };
    listeners.into_iter().zip(0..).map(seat).collect()
}

/// Connects all seats, each on a thread of its own.
pub(crate) fn connect(seats: &[Seat]) -> Vec<TcpRing> {
    each(seats, |seat| seat.connect(PATIENCE).unwrap())
}

/// Does something with each item on a thread of its own; results in the order of the items.
pub(crate) fn each<I, R>(items: impl IntoIterator<Item = I>, act: impl Fn(I) -> R + Sync) -> Vec<R>
where
    I: Send,
    R: Send,
{
    thread::scope(|scope| {
        let act = &act;
        let threads: Vec<_> = items
            .into_iter()
            .map(|item| scope.spawn(move || act(item)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

/// Fails the test, instead of hanging it, if `act` does not return.
pub(crate) fn without_hanging<R: Send + 'static>(act: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, result) = mpsc::channel();
    let thread = thread::spawn(move || done.send(act()));
    match result.recv_timeout(PATIENCE) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("nothing happened for {PATIENCE:?}"),
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("it panicked: {:?}", thread.join()),
    }
}
