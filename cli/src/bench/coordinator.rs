//! The replicated coordinator beside etcd: three members of each on loopback, with real folders and real syncs.
//!
//! This process is the client of both, with one generator ([`load`]), so that what it costs itself is the same for both.

mod agents;
mod etcd;
mod gap;
mod load;
mod member;
mod ours;
mod storm;
mod table;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use convoy_output::{answer, notice};
use convoy_process::{Spawner, raise_open_files};
use futures::future::try_join_all;
use serde::Serialize;
use serde_json::json;
use tokio::time::sleep;
use tonic::transport::{Channel, Endpoint};

use super::arguments::CoordinatorArguments;
use super::report::Report;
use super::statistics::rotation;
use etcd::{Etcd, Program};
use load::{Client, Turn, Work};
use ours::Ours;

pub(super) use member::become_member;

/// Of each contender.
const MEMBERS: usize = 3;
/// Of everything that is written.
const VALUE_BYTES: usize = 200;
/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(20);
/// Files besides the connections of agents: logs, pipes, other connections.
const OTHER_FILES: u64 = 1_000;
/// Tries of a turn: a leader that lost its place makes the clients of a turn useless.
const TRIES: u32 = 3;

/// One measurement that both take part in.
#[derive(Clone, Copy, Debug)]
struct Case {
    work: Work,
    clients: usize,
    connections: usize,
}

/// What a contender did in every round of a case.
#[derive(Clone, Debug, Default, Serialize)]
struct Measured {
    rate: Vec<f64>,
    p50_us: Vec<f64>,
    p99_us: Vec<f64>,
}

impl Measured {
    fn add(&mut self, turn: &Turn) {
        self.rate.push(turn.rate);
        self.p50_us.push(turn.p50_us());
        self.p99_us.push(turn.p99_us());
    }
}

/// What all contenders did in a case.
#[derive(Clone, Debug, Serialize)]
struct Row {
    what: &'static str,
    clients: usize,
    connections: usize,
    convoy: Measured,
    etcd: Option<Measured>,
}

/// Seconds without an acknowledged write around each kill of a leader.
#[derive(Clone, Debug, Default, Serialize)]
struct Gaps {
    convoy: Vec<f64>,
    etcd: Vec<f64>,
}

/// Both contenders.
struct Contenders {
    ours: Ours,
    etcd: Option<Etcd>,
}

/// Measures everything that was asked for, prints it and writes it.
pub(super) async fn run(arguments: &CoordinatorArguments, spawner: &Spawner) -> anyhow::Result<()> {
    let report = Report::without_python(arguments.rounds.get(), &arguments.file)?;
    let program = match arguments.etcd.without_etcd {
        true => None,
        false => Some(Program::find(&arguments.etcd.etcd)?),
    };
    allow_files(arguments.agents)?;
    let folder = Folder::create(&arguments.data_dir)?;
    let mut contenders = start(arguments, spawner, program.clone(), &folder).await?;
    let mut rows = Vec::new();
    for case in cases(arguments) {
        rows.push(measure(&contenders, case, arguments).await?);
    }
    answer(table::rows(&rows));
    let gaps = kill(&mut contenders, arguments.kills, spawner).await?;
    if arguments.kills > 0 {
        answer(table::gaps(&gaps));
    }
    // It would only take time from the others.
    drop(contenders.etcd.take());
    let mut storm = None;
    let mut agents = None;
    if arguments.agents > 0 {
        let (count, ours) = (arguments.agents as usize, &mut contenders.ours);
        let figures = storm::measure(ours, count, spawner).await?;
        answer(table::storm(&figures));
        storm = Some(figures);
        ours.cancel_all().await?;
        let watched = Duration::from_secs(u64::from(arguments.watch_s));
        let figures = agents::measure(ours, count, watched).await?;
        answer(table::agents(&figures));
        agents = Some(figures);
    }
    report.write(json!({
        "benchmark": "coordinator",
        "etcd": program.map(|program| program.version),
        "turn_ms": arguments.turn_ms,
        "rows": rows,
        "leader_kill_gap_seconds": gaps,
        "leader_killed_with_agents": storm,
        "agents": agents,
    }))
}

fn cases(arguments: &CoordinatorArguments) -> Vec<Case> {
    let connections = arguments.connections as usize;
    let case = |work, clients: u32| Case {
        work,
        clients: clients as usize,
        connections: connections.min(clients as usize),
    };
    let mut cases = vec![case(Work::Write, 1)];
    let writers = arguments.writers.iter();
    cases.extend(writers.map(|writers| case(Work::Write, *writers)));
    cases.push(case(Work::Read, arguments.readers));
    cases
}

async fn start(
    arguments: &CoordinatorArguments,
    spawner: &Spawner,
    program: Option<Program>,
    folder: &Folder,
) -> anyhow::Result<Contenders> {
    let mut ours = Ours::start(spawner, &folder.path).await?;
    let writers = arguments.writers.iter().copied();
    let everyone = writers.chain([arguments.readers]).max().unwrap_or(1) as usize;
    ours.prepare(everyone).await?;
    let etcd = match program {
        None => None,
        Some(program) => Some(Etcd::start(spawner, program, &folder.path).await?),
    };
    let contenders = Contenders { ours, etcd };
    // Everybody writes once, so that whoever reads finds something.
    for place in 0..contenders.count() {
        let mut clients = contenders.clients(place, everyone, 1).await?;
        load::turn(&mut clients, Work::Write, Duration::ZERO).await?;
    }
    notice("all members are up");
    Ok(contenders)
}

/// Every round of a case.
async fn measure(
    contenders: &Contenders,
    case: Case,
    arguments: &CoordinatorArguments,
) -> anyhow::Result<Row> {
    let length = Duration::from_millis(u64::from(arguments.turn_ms));
    let count = contenders.count();
    let mut clients: Vec<Vec<Client>> = (0..count).map(|_| Vec::new()).collect();
    let mut measured = vec![Measured::default(); count];
    // The first is none that counts: connections are opened, and memory is found.
    for round in 0..=arguments.rounds.get() as usize {
        for place in rotation(count, round) {
            let turn = contenders
                .turn(place, &mut clients[place], case, length)
                .await?;
            if round > 0 {
                measured[place].add(&turn);
            }
        }
    }
    let mut measured = measured.into_iter();
    notice(format_args!("{}: done", table::name(case)));
    Ok(Row {
        what: match case.work {
            Work::Write => "write",
            Work::Read => "read",
        },
        clients: case.clients,
        connections: case.connections,
        convoy: measured.next().unwrap_or_default(),
        etcd: measured.next(),
    })
}

async fn kill(contenders: &mut Contenders, kills: u32, spawner: &Spawner) -> anyhow::Result<Gaps> {
    let mut gaps = Gaps::default();
    for number in 1..=kills {
        gaps.convoy
            .push(gap::of_ours(&mut contenders.ours, spawner).await?);
        if let Some(etcd) = &mut contenders.etcd {
            gaps.etcd.push(gap::of_etcd(etcd, spawner).await?);
        }
        notice(format_args!("{number} of {kills} leaders killed"));
    }
    Ok(gaps)
}

impl Contenders {
    fn count(&self) -> usize {
        1 + usize::from(self.etcd.is_some())
    }

    /// Clients of the contender at `place`: ours, then etcd's.
    async fn clients(
        &self,
        place: usize,
        count: usize,
        connections: usize,
    ) -> anyhow::Result<Vec<Client>> {
        match (place, &self.etcd) {
            (1, Some(etcd)) => {
                let clients = etcd.clients(count, connections).await?;
                Ok(clients.into_iter().map(Client::Etcd).collect())
            }
            (_, _) => {
                let clients = self.ours.clients(count, connections).await?;
                Ok(clients.into_iter().map(Client::Ours).collect())
            }
        }
    }

    /// One turn; tried again with new clients where the leader has changed.
    async fn turn(
        &self,
        place: usize,
        clients: &mut Vec<Client>,
        case: Case,
        length: Duration,
    ) -> anyhow::Result<Turn> {
        let mut tries = 1;
        loop {
            self.ours.check()?;
            self.etcd.as_ref().map_or(Ok(()), Etcd::check)?;
            if clients.len() < case.clients {
                *clients = self.clients(place, case.clients, case.connections).await?;
            }
            match load::turn(clients, case.work, length).await {
                Ok(turn) => return Ok(turn),
                Err(error) if tries < TRIES => {
                    notice(format_args!("{}: once more: {error:#}", table::name(case)));
                    clients.clear();
                    tries += 1;
                }
                Err(error) => return Err(error.context(table::name(case))),
            }
        }
    }
}

/// A folder that is removed in the end.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn create(below: &Path) -> anyhow::Result<Self> {
        let below = std::path::absolute(below).context("the working directory is gone")?;
        let path = below.join(format!("bench-coordinator-{}", std::process::id()));
        let create = std::fs::create_dir_all(&path);
        create.with_context(|| format!("can't create {}", path.display()))?;
        Ok(Self { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            notice(format_args!(
                "{} could not be removed: {error}",
                self.path.display()
            ));
        }
    }
}

/// Members get the limit of this process.
fn allow_files(agents: u32) -> anyhow::Result<()> {
    let wanted = u64::from(agents) + OTHER_FILES;
    let allowed = raise_open_files().context("the limit of open files is not known")?;
    if allowed < wanted {
        bail!(
            "{agents} agents need {wanted} open files in a process, {allowed} are allowed: raise the hard limit \
             (`ulimit -Hn`), or take fewer with --agents"
        );
    }
    Ok(())
}

fn endpoint(address: SocketAddr) -> anyhow::Result<Endpoint> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    Ok(endpoint.tcp_nodelay(true))
}

async fn connect(address: SocketAddr, connections: usize) -> anyhow::Result<Vec<Channel>> {
    let endpoint = endpoint(address)?;
    let connections = (0..connections).map(|_| endpoint.connect());
    try_join_all(connections)
        .await
        .with_context(|| format!("can't connect to {address}"))
}

/// Looks again and again until there is something.
async fn eventually<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            bail!("waited {limit:?} in vain for {what}");
        }
        sleep(LOOK).await;
    }
}
