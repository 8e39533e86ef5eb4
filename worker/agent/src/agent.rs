//! The agent itself: events in, the roster decides, actions out.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use convoy_client::{AgentSide, Reporter, random_u64};
use convoy_common::ids::WorkerRef;
use convoy_process::{Spawner, force_end_after};
use convoy_proto::v1::agent_directive::Directive;
use convoy_proto::v1::agent_report::Report;
use convoy_proto::{PROTOCOL_VERSION, v1};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::arguments::Arguments;
use crate::life::{Workplace, live};
use crate::link::{LinkEvent, hold};
use crate::preflight::Preflight;
use crate::roster::{Action, Assignment, Obituary, Roster, Started};
use crate::wire;

/// Beyond the workers' grace, how long leaving may take at most: the last reports, and slack.
const LEAVE_SLACK: Duration = Duration::from_secs(5);

/// A coordinator that reads nothing must not keep the agent from its signals; a new session reports all again.
const REPORT_LIMIT: Duration = Duration::from_secs(1);

enum Event {
    Link(LinkEvent),
    Started(Started),
    Ended(Obituary),
    Leave(Departure),
}

/// Why the agent leaves, and whether that is a failure.
struct Departure {
    reason: String,
    failed: bool,
}

struct Agent {
    workplace: Arc<Workplace>,
    roster: Roster,
    /// How to begin the end of each life.
    stops: BTreeMap<WorkerRef, oneshot::Sender<()>>,
    reporter: Option<Reporter<AgentSide>>,
    lives: mpsc::UnboundedSender<Event>,
    departure: Option<Departure>,
}

/// Runs the agent until a signal or the coordinator ends it, and all its workers have ended. Fails with the reason when
/// the coordinator refuses it or is gone.
pub(crate) async fn run(arguments: Arguments, spawner: Spawner) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let hello = hello(&arguments);
    let slots = arguments.slots;
    let reach_limit = Duration::from_millis(arguments.coordinator_timeout_ms);
    let workplace = workplace(arguments, spawner)?;

    let (lives, mut from_lives) = mpsc::unbounded_channel();
    let (link_events, mut from_link) = mpsc::unbounded_channel();
    let (close_link, closing) = oneshot::channel();
    let link = tokio::spawn(hold(
        workplace.coordinator.clone(),
        hello,
        reach_limit,
        link_events,
        closing,
    ));
    let mut agent = Agent {
        workplace: Arc::new(workplace),
        roster: Roster::new(slots),
        stops: BTreeMap::new(),
        reporter: None,
        lives,
        departure: None,
    };
    let departure = loop {
        let event = tokio::select! {
            Some(event) = from_lives.recv() => event,
            Some(event) = from_link.recv() => Event::Link(event),
            _ = terminate.recv() => Event::Leave(signalled("SIGTERM")),
            _ = interrupt.recv() => Event::Leave(signalled("SIGINT")),
        };
        agent.handle(event).await;
        if let Some(departure) = agent.departure.take_if(|_| agent.roster.is_empty()) {
            break departure;
        }
    };
    drop(close_link);
    link.await
        .context("the task that holds the session failed")?;
    anyhow::ensure!(!departure.failed, departure.reason);
    Ok(())
}

fn workplace(arguments: Arguments, spawner: Spawner) -> anyhow::Result<Workplace> {
    let absolute = |path: PathBuf| {
        std::path::absolute(&path).with_context(|| format!("{} is no path", path.display()))
    };
    let work_dir = absolute(arguments.work_dir)?;
    convoy_files::ensure_folder(&work_dir)?;
    Ok(Workplace {
        spawner,
        work_dir,
        coordinator: arguments.coordinator,
        advertised_host: arguments.advertised_host,
        worker_binary: arguments.worker_binary.map(absolute).transpose()?,
        stop_grace: Duration::from_millis(arguments.stop_grace_ms),
        preflight: Preflight::default(),
    })
}

fn hello(arguments: &Arguments) -> v1::AgentHello {
    v1::AgentHello {
        protocol_version: PROTOCOL_VERSION,
        build: env!("CARGO_PKG_VERSION").to_owned(),
        node_id: arguments.node_id.to_string(),
        incarnation: random_u64(),
        slots: arguments.slots,
        advertised_host: arguments.advertised_host.clone(),
        ..v1::AgentHello::default()
    }
}

/// SIGTERM is also what the kernel sends when the process that started the agent is gone.
fn signalled(name: &str) -> Departure {
    Departure {
        reason: format!("the agent received {name}"),
        failed: false,
    }
}

impl Agent {
    async fn handle(&mut self, event: Event) {
        let actions = match event {
            Event::Link(event) => self.hear(event).await,
            Event::Started(started) => {
                tracing::info!(worker = %started.worker, pid = started.pid, log = %started.log_path.display(), "started");
                self.roster.started(started)
            }
            Event::Ended(obituary) => {
                tracing::info!(worker = %obituary.worker, pid = obituary.pid, how = obituary.how, "ended");
                self.stops.remove(&obituary.worker);
                self.roster.ended(obituary)
            }
            Event::Leave(departure) => self.leave(departure).await,
        };
        for action in actions {
            self.perform(action).await;
        }
    }

    async fn hear(&mut self, event: LinkEvent) -> Vec<Action> {
        match event {
            LinkEvent::Opened(reporter) => {
                tracing::info!(coordinator = %self.workplace.coordinator, "session opened");
                self.reporter = Some(reporter);
                self.roster.session_opened()
            }
            LinkEvent::Directive(directive) => self.obey(directive).await,
            LinkEvent::Lost { reason } => {
                tracing::warn!(reason, "session lost, trying again");
                self.reporter = None;
                Vec::new()
            }
            LinkEvent::Gone { reason } => {
                self.reporter = None;
                self.leave(Departure {
                    reason,
                    failed: true,
                })
                .await
            }
        }
    }

    async fn obey(&mut self, directive: Directive) -> Vec<Action> {
        match directive {
            Directive::Welcome(v1::Welcome { term }) => {
                tracing::debug!(term, "welcome");
                Vec::new()
            }
            Directive::Desired(desired) => match wire::parse_desired(desired) {
                Ok(desired) => self.roster.desire(desired),
                Err(error) => {
                    let reason = format!("the coordinator's directive makes no sense: {error}");
                    self.leave(Departure {
                        reason,
                        failed: true,
                    })
                    .await
                }
            },
            Directive::Shutdown(v1::Shutdown { reason }) => {
                self.leave(Departure {
                    reason,
                    failed: false,
                })
                .await
            }
        }
    }

    async fn leave(&mut self, departure: Departure) -> Vec<Action> {
        if self.departure.is_some() {
            return Vec::new();
        }
        tracing::info!(reason = departure.reason, "leaving");
        if let Err(error) = force_end_after(self.workplace.stop_grace + LEAVE_SLACK) {
            tracing::warn!(%error, "the shutdown is not bounded");
        }
        self.report(Report::Leaving(v1::AgentLeaving {
            reason: departure.reason.clone(),
        }))
        .await;
        self.departure = Some(departure);
        self.roster.leave()
    }

    async fn perform(&mut self, action: Action) {
        match action {
            Action::Start(assignment) => self.begin_life(assignment),
            Action::Stop(worker) => {
                tracing::info!(%worker, "stopping");
                // Dropping is telling.
                self.stops.remove(&worker);
            }
            Action::ReportStarted(started) => self.report(wire::started(&started)).await,
            Action::ReportEnded(obituary) => self.report(wire::ended(obituary)).await,
        }
    }

    fn begin_life(&mut self, assignment: Assignment) {
        let (stop, stopped) = oneshot::channel();
        self.stops.insert(assignment.worker.clone(), stop);
        let workplace = Arc::clone(&self.workplace);
        let events = self.lives.clone();
        tokio::spawn(async move {
            // The agent receives until every life has ended.
            let tell = |event| drop(events.send(event));
            let obituary = live(&workplace, &assignment, stopped, |started| {
                tell(Event::Started(started))
            })
            .await;
            tell(Event::Ended(obituary));
        });
    }

    async fn report(&self, report: Report) {
        let Some(reporter) = &self.reporter else {
            return;
        };
        match timeout(REPORT_LIMIT, reporter.send(report)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "not reported"),
            Err(_) => tracing::warn!("the coordinator reads no reports"),
        }
    }
}
