//! Thousands of agents: sessions on connections of their own, a heartbeat every second, and a directive to all of them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use convoy_client::{JobsClient, random_u64};
use convoy_output::notice;
use convoy_proto::v1::agent_directive::Directive;
use convoy_proto::v1::agent_report::Report;
use convoy_proto::v1::agents_client::AgentsClient;
use convoy_proto::{PROTOCOL_VERSION, v1};
use futures::{StreamExt, stream};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tonic::Streaming;

use super::super::statistics::quantile;
use super::ours::{Ours, spec_json};

/// Each agent's.
const HEARTBEAT_PERIOD: Duration = Duration::from_secs(1);
/// Heartbeats are sent in so many portions, spread over their period.
const PORTIONS: usize = 100;
/// Agents that say hello at the same time.
const AT_ONCE: usize = 64;
/// Reports that may wait for the network; heartbeats are small and few.
const WAITING_REPORTS: usize = 4;
/// Workers of one job, as its shards allow.
const WORKERS_OF_A_JOB: usize = 4_000;
/// Nothing takes so long that works.
const LIMIT: Duration = Duration::from_secs(60);

/// What the leader takes for its agents, and how fast it reaches them.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figures {
    agents: usize,
    /// From the first connection to the last welcome.
    pub(super) attach_seconds: f64,
    /// Of processor time in a second, over `watched_seconds` of nothing but heartbeats.
    pub(super) cores: f64,
    watched_seconds: f64,
    pub(super) resident_bytes: u64,
    /// From the submission of jobs that need every agent to the arrival of each agent's directive, ascending.
    pub(super) directive_seconds: Vec<f64>,
}

impl Figures {
    pub(super) fn directive_p99_seconds(&self) -> f64 {
        quantile(&self.directive_seconds, 0.99)
    }
}

type Reports = mpsc::Sender<v1::AgentReport>;

/// Connects so many agents to the leader, watches it for a while and then gives each agent a worker to start.
pub(super) async fn measure(
    ours: &Ours,
    agents: usize,
    watched: Duration,
) -> anyhow::Result<Figures> {
    let (address, leader) = ours.leading_member().await?;
    let (told, mut directives) = mpsc::unbounded_channel();
    // Everything that is spawned ends with this.
    let mut tasks = JoinSet::new();
    let reports = Arc::new(Mutex::new(Vec::with_capacity(agents)));
    tasks.spawn(send_heartbeats(Arc::clone(&reports), agents));
    let begin = Instant::now();
    let mut attached = stream::iter(0..agents)
        .map(|number| attach(address, number))
        .buffer_unordered(AT_ONCE);
    while let Some(agent) = attached.next().await {
        let (sender, stream) = agent?;
        reports
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(sender);
        tasks.spawn(listen(stream, told.clone()));
    }
    drop(attached);
    let attach_seconds = begin.elapsed().as_secs_f64();
    notice(format_args!("{agents} agents are attached"));
    // What their arrival left to do is done by then.
    sleep(HEARTBEAT_PERIOD).await;
    let (from, before) = (Instant::now(), leader.usage()?);
    sleep(watched).await;
    let (watched_seconds, after) = (from.elapsed().as_secs_f64(), leader.usage()?);
    let submitted = Instant::now();
    submit(ours, agents).await?;
    let mut directive_seconds = Vec::with_capacity(agents);
    while directive_seconds.len() < agents {
        let Ok(Some(told)) = timeout(LIMIT, directives.recv()).await else {
            let reached = directive_seconds.len();
            bail!("{reached} of {agents} agents were told to start a worker within {LIMIT:?}");
        };
        let at: Instant = told?;
        directive_seconds.push((at - submitted).as_secs_f64());
    }
    directive_seconds.sort_by(f64::total_cmp);
    Ok(Figures {
        agents,
        attach_seconds,
        cores: (after.cpu_seconds - before.cpu_seconds) / watched_seconds,
        watched_seconds,
        resident_bytes: after.resident_bytes,
        directive_seconds,
    })
}

/// One agent with one slot, welcomed.
async fn attach(
    address: SocketAddr,
    number: usize,
) -> anyhow::Result<(Reports, Streaming<v1::AgentDirective>)> {
    let channel = super::endpoint(address)?.connect().await?;
    let (reports, outgoing) = mpsc::channel(WAITING_REPORTS);
    let hello = hello(number, address.ip().to_string());
    reports.send(report(Report::Hello(hello))).await?;
    let outgoing = stream::unfold(outgoing, |mut outgoing| async {
        Some((outgoing.recv().await?, outgoing))
    });
    let mut agents = AgentsClient::new(channel);
    let mut directives = agents.session(outgoing).await?.into_inner();
    let first = directives.message().await?;
    let first = first.and_then(|first| first.directive);
    ensure!(
        matches!(first, Some(Directive::Welcome(_))),
        "agent {number} was not welcomed, it was told {first:?}"
    );
    Ok((reports, directives))
}

/// A node with one slot.
pub(super) fn hello(number: usize, advertised_host: String) -> v1::AgentHello {
    v1::AgentHello {
        protocol_version: PROTOCOL_VERSION,
        build: env!("CARGO_PKG_VERSION").to_owned(),
        node_id: format!("node-{number}"),
        incarnation: random_u64(),
        slots: 1,
        advertised_host,
        ..v1::AgentHello::default()
    }
}

fn report(report: Report) -> v1::AgentReport {
    v1::AgentReport {
        report: Some(report),
    }
}

/// For all that are attached, and those that come; of so many agents at last.
async fn send_heartbeats(reports: Arc<Mutex<Vec<Reports>>>, agents: usize) -> anyhow::Result<()> {
    let mut portions = interval(HEARTBEAT_PERIOD / PORTIONS as u32);
    portions.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let portion = agents.div_ceil(PORTIONS);
    let mut next = 0;
    loop {
        portions.tick().await;
        let reports = reports.lock().unwrap_or_else(PoisonError::into_inner);
        let end = (next + portion).min(agents);
        for agent in reports.iter().take(end).skip(next) {
            // One that is gone is told of by whoever listens for it; where the queue is full, others wait already.
            let _ = agent.try_send(report(Report::Heartbeat(v1::Heartbeat {})));
        }
        next = if end == agents { 0 } else { end };
    }
}

/// Tells when the agent is told to start a worker, and if its session ends.
async fn listen(
    mut directives: Streaming<v1::AgentDirective>,
    told: mpsc::UnboundedSender<anyhow::Result<Instant>>,
) -> anyhow::Result<()> {
    loop {
        let message = directives.message().await;
        let message = message.context("an agent's session broke");
        let heard = match message.map(|message| message.map(|message| message.directive)) {
            Ok(Some(Some(Directive::Desired(desired)))) if desired.workers.is_empty() => continue,
            Ok(Some(Some(Directive::Desired(_)))) => Ok(Instant::now()),
            Ok(Some(directive)) => Err(anyhow::anyhow!("an agent was told {directive:?}")),
            Ok(None) => Err(anyhow::anyhow!("the coordinator ended an agent's session")),
            Err(error) => Err(error),
        };
        let is_over = heard.is_err();
        // Nobody counts any more once all are told.
        if told.send(heard).is_err() || is_over {
            return Ok(());
        }
    }
}

/// Jobs that need every agent's slot.
async fn submit(ours: &Ours, agents: usize) -> anyhow::Result<()> {
    let jobs = JobsClient::of(ours.caller());
    let mut left = agents;
    while left > 0 {
        let workers = left.min(WORKERS_OF_A_JOB);
        let wanted = u32::try_from(workers)?;
        jobs.submit(spec_json(wanted), wanted).await?;
        left -= workers;
    }
    Ok(())
}
