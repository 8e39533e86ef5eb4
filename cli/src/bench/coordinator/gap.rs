//! Kills leaders, and sees how long nothing is acknowledged.

use std::time::{Duration, Instant};

use anyhow::bail;
use convoy_client::random_u64;
use convoy_process::Spawner;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::etcd::{self, Etcd};
use super::ours::{self, Ours};

/// Writing goes on for so long before a kill, and up to as much more: kills fall anywhere between two heartbeats.
const BEFORE: Duration = Duration::from_millis(200);
const SPREAD_MS: u64 = 200;
/// Writing goes on for so long after a kill, and until something is acknowledged after that: an election that is disturbed
/// once more counts.
const AFTER: Duration = Duration::from_secs(2);
/// Nothing takes so long that works.
const LIMIT: Duration = Duration::from_secs(30);

/// Seconds without an acknowledged write, as one client of the client library sees them.
pub(super) async fn of_ours(ours: &mut Ours, spawner: &Spawner) -> anyhow::Result<f64> {
    let leader = ours.leader().await?;
    let caller = ours.caller();
    let (acknowledged, heard) = mpsc::unbounded_channel();
    let mut writer = JoinSet::new();
    let job = ours.first_job()?;
    writer.spawn(async move {
        for number in 0.. {
            ours::note(&caller, &job, number).await?;
            if acknowledged.send(Instant::now()).is_err() {
                break;
            }
        }
        anyhow::Ok(())
    });
    let gap = watch(heard, writer, || ours.kill(leader)).await?;
    ours.restart(spawner, leader).await?;
    Ok(gap)
}

/// The same for etcd; the client goes on at the next member where one does not answer.
pub(super) async fn of_etcd(etcd: &mut Etcd, spawner: &Spawner) -> anyhow::Result<f64> {
    let leader = etcd.leader().await?;
    let mut clients = etcd.client_of_each()?;
    let (acknowledged, heard) = mpsc::unbounded_channel();
    let mut writer = JoinSet::new();
    writer.spawn(async move {
        let mut place = leader;
        loop {
            etcd::write_anywhere(&mut clients, &mut place).await;
            if acknowledged.send(Instant::now()).is_err() {
                return anyhow::Ok(());
            }
        }
    });
    let gap = watch(heard, writer, || etcd.kill(leader)).await?;
    etcd.restart(spawner, leader).await?;
    Ok(gap)
}

/// The longest time between two acknowledgements around the kill, in seconds.
async fn watch(
    mut heard: mpsc::UnboundedReceiver<Instant>,
    mut writer: JoinSet<anyhow::Result<()>>,
    kill: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<f64> {
    let mut last = next(&mut heard, &mut writer).await?;
    sleep(BEFORE + Duration::from_millis(random_u64() % (SPREAD_MS + 1))).await;
    kill()?;
    let killed = Instant::now();
    let mut longest = Duration::ZERO;
    while last < killed + AFTER {
        let after = next(&mut heard, &mut writer).await?;
        longest = longest.max(after - last);
        last = after;
    }
    Ok(longest.as_secs_f64())
}

/// The next acknowledgement.
async fn next(
    heard: &mut mpsc::UnboundedReceiver<Instant>,
    writer: &mut JoinSet<anyhow::Result<()>>,
) -> anyhow::Result<Instant> {
    if let Ok(Some(acknowledged)) = timeout(LIMIT, heard.recv()).await {
        return Ok(acknowledged);
    }
    // A writer that failed knows why.
    if let Some(Ok(ended)) = writer.try_join_next() {
        ended?;
    }
    bail!("no write was acknowledged for {LIMIT:?}")
}
