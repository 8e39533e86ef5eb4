//! Thousands of agents whose leader is killed: all of them look for the next one while it is elected.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use convoy_client::{AgentSide, CoordinatorsClient, Endpoints, Link, LinkEvent};
use convoy_process::Spawner;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::ours::Ours;
use super::{agents, gap};

/// Leaders that are killed.
const KILLS: usize = 3;
/// Agents that begin at the same time.
const AT_ONCE: usize = 64;
/// An agent gives up after so long without a coordinator, and nothing takes so long that works.
const LIMIT: Duration = Duration::from_secs(60);

/// What came of each kill.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Figures {
    pub(super) agents: usize,
    /// Seconds without an acknowledged write.
    pub(super) gap_seconds: Vec<f64>,
    /// From the first agent that lost its session to the last that had one again.
    pub(super) back_seconds: Vec<f64>,
    /// Terms that went by: one is the least.
    pub(super) terms: Vec<u64>,
}

/// What an agent saw.
#[derive(Debug)]
enum Seen {
    Welcomed(Instant),
    Lost(Instant),
    Gone(String),
}

/// Agents as they are, with the client library's own ways to find a leader, and nothing behind them.
struct Crowd {
    count: usize,
    seen: mpsc::UnboundedReceiver<Seen>,
    attending: JoinSet<()>,
}

pub(super) async fn measure(
    ours: &mut Ours,
    count: usize,
    spawner: &Spawner,
) -> anyhow::Result<Figures> {
    let mut figures = Figures {
        agents: count,
        ..Figures::default()
    };
    let mut crowd = Crowd::gather(ours.endpoints(), count).await?;
    for _ in 0..KILLS {
        // An agent that starts no worker fails its job in the end.
        ours.renew().await?;
        let before = term(ours).await?;
        figures.gap_seconds.push(gap::of_ours(ours, spawner).await?);
        figures.back_seconds.push(crowd.all_back().await?);
        figures.terms.push(term(ours).await? - before);
    }
    Ok(figures)
}

async fn term(ours: &Ours) -> anyhow::Result<u64> {
    let status = CoordinatorsClient::of(ours.caller()).status().await;
    Ok(status.context("no coordinator leads")?.term)
}

impl Crowd {
    async fn gather(endpoints: &Endpoints, count: usize) -> anyhow::Result<Self> {
        let (tell, seen) = mpsc::unbounded_channel();
        let mut crowd = Self {
            count,
            seen,
            attending: JoinSet::new(),
        };
        for number in 0..count {
            let hello = agents::hello(number, "127.0.0.1".to_owned());
            let link = Link::start(endpoints.clone(), hello, LIMIT);
            crowd.attending.spawn(attend(link, tell.clone()));
            if number >= AT_ONCE {
                crowd.next_welcome().await?;
            }
        }
        for _ in 0..count.min(AT_ONCE) {
            crowd.next_welcome().await?;
        }
        Ok(crowd)
    }

    async fn next_welcome(&mut self) -> anyhow::Result<Instant> {
        match self.next().await? {
            Seen::Welcomed(at) => Ok(at),
            Seen::Lost(_) => bail!("an agent's session broke although nobody was killed"),
            Seen::Gone(reason) => bail!("an agent gave up: {reason}"),
        }
    }

    /// Seconds until each of them has a session with the next leader.
    async fn all_back(&mut self) -> anyhow::Result<f64> {
        let (mut lost, mut welcomed) = (Vec::new(), Vec::new());
        while lost.len() < self.count || welcomed.len() < lost.len() {
            match self.next().await? {
                Seen::Welcomed(at) => welcomed.push(at),
                Seen::Lost(at) => lost.push(at),
                Seen::Gone(reason) => bail!("an agent gave up: {reason}"),
            }
        }
        let (first, last) = (lost.iter().min(), welcomed.iter().max());
        let (first, last) = first.zip(last).context("there are no agents")?;
        Ok((*last - *first).as_secs_f64())
    }

    async fn next(&mut self) -> anyhow::Result<Seen> {
        let seen = timeout(LIMIT, self.seen.recv()).await;
        let seen = seen.with_context(|| format!("nothing came of an agent within {LIMIT:?}"))?;
        seen.context("all agents are gone")
    }
}

/// Tells of every session of one agent.
async fn attend(mut link: Link<AgentSide>, tell: mpsc::UnboundedSender<Seen>) {
    let mut is_new = false;
    loop {
        let seen = match link.next().await {
            LinkEvent::Opened { .. } => {
                is_new = true;
                continue;
            }
            // The first is the welcome.
            LinkEvent::Directive(_) if is_new => {
                is_new = false;
                Seen::Welcomed(Instant::now())
            }
            LinkEvent::Directive(_) => continue,
            LinkEvent::Lost { .. } => {
                // A session that ended before its welcome counts as none.
                if std::mem::take(&mut is_new) {
                    continue;
                }
                Seen::Lost(Instant::now())
            }
            LinkEvent::Gone { reason } => Seen::Gone(reason),
        };
        if tell.send(seen).is_err() {
            return;
        }
    }
}
