//! The ring of a benchmark's members.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, ensure};
use convoy_collective::{AbortHandle, Identity, Peer, RingListener, TcpRing, verify};
use convoy_common::ids::{Attempt, Incarnation, JobId, Rank};
use serde_json::json;

use super::arguments::MemberArguments;
use super::line::{self, Peers};

/// Members start together; the slowest loads libtorch meanwhile.
const JOIN_LIMIT: Duration = Duration::from_secs(60);

/// Says where this member listens, hears where the others do, and builds the ring. `None` if the input ended before.
pub(super) fn join(member: &MemberArguments) -> anyhow::Result<Option<TcpRing>> {
    let listener = RingListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    line::tell(&json!({ "listening": listener.local_addr().to_string() }))?;
    let Some(Peers { peers }) = line::next()? else {
        return Ok(None);
    };
    let MemberArguments { rank, world, .. } = *member;
    ensure!(
        peers.len() as u64 == u64::from(world) && rank < world,
        "{} addresses for rank {rank} of {world}",
        peers.len()
    );
    let peer = |rank: u32| -> anyhow::Result<Peer> {
        let address = &peers[rank as usize];
        Ok(Peer {
            rank: Rank(rank),
            address: address
                .parse()
                .with_context(|| format!("{address} is no address"))?,
            incarnation: incarnation(rank),
        })
    };
    let me = Identity {
        job: JobId::try_from("bench".to_owned())?,
        attempt: Attempt {
            term: 1,
            counter: 1,
        },
        rank: Rank(rank),
        world,
        incarnation: incarnation(rank),
    };
    let (next, previous) = (peer((rank + 1) % world)?, peer((rank + world - 1) % world)?);
    let ring = TcpRing::connect(
        &listener,
        me,
        next,
        previous,
        JOIN_LIMIT,
        AbortHandle::new(),
    )?;
    verify(&ring, 1)?;
    Ok(Some(ring))
}

fn incarnation(rank: u32) -> Incarnation {
    Incarnation(u64::from(rank) + 1)
}
