//! The generator: so many clients, each with one request under way, for the length of a turn. The same for both contenders.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::super::statistics::quantile;
use super::{etcd, ours};

/// A client of either.
pub(super) enum Client {
    Ours(ours::Client),
    Etcd(etcd::Client),
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    Write,
    Read,
}

/// What came of a turn.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    /// Answers in a second.
    pub(super) rate: f64,
    /// Microseconds from request to answer, ascending.
    pub(super) latencies_us: Vec<f64>,
}

impl Turn {
    pub(super) fn p50_us(&self) -> f64 {
        quantile(&self.latencies_us, 0.5)
    }

    pub(super) fn p99_us(&self) -> f64 {
        quantile(&self.latencies_us, 0.99)
    }
}

impl Client {
    pub(super) async fn perform(&mut self, work: Work) -> anyhow::Result<()> {
        match (self, work) {
            (Self::Ours(client), Work::Write) => client.write().await,
            (Self::Ours(client), Work::Read) => client.read().await,
            (Self::Etcd(client), Work::Write) => client.write().await,
            (Self::Etcd(client), Work::Read) => client.read().await,
        }
    }
}

/// Lets all `clients` work for `length`; what was begun in time is waited for.
pub(super) async fn turn(
    clients: &mut Vec<Client>,
    work: Work,
    length: Duration,
) -> anyhow::Result<Turn> {
    let begin = Instant::now();
    let until = begin + length;
    let mut running = JoinSet::new();
    for mut client in clients.drain(..) {
        running.spawn(async move {
            let mut latencies_us = Vec::new();
            let mut sent = Instant::now();
            // Once at least, however late a client among thousands has its first turn.
            loop {
                client.perform(work).await?;
                let answered = Instant::now();
                latencies_us.push((answered - sent).as_secs_f64() * 1e6);
                if answered >= until {
                    return anyhow::Ok((client, latencies_us));
                }
                sent = answered;
            }
        });
    }
    let mut latencies_us = Vec::new();
    while let Some(ended) = running.join_next().await {
        let (client, own) = ended??;
        clients.push(client);
        latencies_us.extend(own);
    }
    let seconds = begin.elapsed().as_secs_f64();
    latencies_us.sort_by(f64::total_cmp);
    Ok(Turn {
        rate: latencies_us.len() as f64 / seconds,
        latencies_us,
    })
}
