//! The agent itself: events in, the roster decides, actions out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use convoy_client::{AgentSide, Link, LinkEvent, Reporter};
use convoy_common::ids::WorkerRef;
use convoy_common::limits::MAX_LOG_READS;
use convoy_process::force_end_after;
use convoy_proto::v1;
use convoy_proto::v1::agent_directive::Directive;
use convoy_proto::v1::agent_report::Report;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use crate::life::{Workplace, live};
use crate::log_part;
use crate::roster::{Action, Assignment, Obituary, Roster, Started};
use crate::settings::Settings;
use crate::wire;

/// Beyond the workers' grace, how long leaving may take at most: the last reports, and slack.
const LEAVE_SLACK: Duration = Duration::from_secs(5);

/// A coordinator that reads nothing must not keep the agent from its signals; a new session reports all again.
const REPORT_LIMIT: Duration = Duration::from_secs(1);

enum Event {
    Link(LinkEvent<AgentSide>),
    Started(Started),
    Ended(Obituary),
    /// A part of a log was read, or could not be. No other takes its place before it is on its way.
    LogRead {
        report: Report,
        reading: OwnedSemaphorePermit,
    },
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
    /// What happens to lives and reads of logs.
    events: mpsc::UnboundedSender<Event>,
    /// One for each read of a log that may be under way.
    log_reads: Arc<Semaphore>,
    departure: Option<Departure>,
}

/// Runs the agent until a signal or the coordinator ends it, and all its workers have ended. Fails with the reason when
/// the coordinator refuses it or is gone.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let Settings {
        hello,
        slots,
        reach_limit,
        workplace,
    } = settings;
    let (events, mut inbox) = mpsc::unbounded_channel();
    let mut link = Link::start(workplace.endpoints.clone(), hello, reach_limit);
    let mut agent = Agent {
        workplace: Arc::new(workplace),
        roster: Roster::new(slots),
        stops: BTreeMap::new(),
        reporter: None,
        events,
        log_reads: Arc::new(Semaphore::new(MAX_LOG_READS)),
        departure: None,
    };
    let departure = loop {
        let event = tokio::select! {
            Some(event) = inbox.recv() => event,
            event = link.next() => Event::Link(event),
            _ = terminate.recv() => Event::Leave(signalled("SIGTERM")),
            _ = interrupt.recv() => Event::Leave(signalled("SIGINT")),
        };
        agent.handle(event).await;
        if let Some(departure) = agent.departure.take_if(|_| agent.roster.is_empty()) {
            break departure;
        }
    };
    link.close().await;
    anyhow::ensure!(!departure.failed, departure.reason);
    Ok(())
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
            Event::LogRead { report, reading } => {
                self.report_log_read(report);
                drop(reading);
                Vec::new()
            }
            Event::Leave(departure) => self.leave(departure).await,
        };
        for action in actions {
            self.perform(action).await;
        }
    }

    async fn hear(&mut self, event: LinkEvent<AgentSide>) -> Vec<Action> {
        match event {
            LinkEvent::Opened {
                coordinator,
                reporter,
            } => {
                tracing::info!(%coordinator, "session opened");
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
            Directive::ReadLog(v1::ReadLog { request, what }) => {
                self.read_log(request, what);
                Vec::new()
            }
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
        let events = self.events.clone();
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

    /// Reads on a thread of its own, since a disk may be slow; the answer is reported when it is there.
    fn read_log(&self, request: u64, what: Option<v1::ReadLogRequest>) {
        let Ok(reading) = Arc::clone(&self.log_reads).try_acquire_owned() else {
            let busy = format!("its agent reads {MAX_LOG_READS} logs already");
            return self.report_log_read(wire::log_read(request, Err(busy)));
        };
        let (workplace, events) = (Arc::clone(&self.workplace), self.events.clone());
        tokio::task::spawn_blocking(move || {
            let part = wire::parse_log_wanted(what).map_err(|error| error.to_string());
            let part = part.and_then(|(worker, from)| {
                let folder = workplace.logs_of(&worker.job);
                log_part::read(&folder, &worker, from).map_err(|error| error.to_string())
            });
            // The agent receives as long as it sends.
            let _ = events.send(Event::LogRead {
                report: wire::log_read(request, part),
                reading,
            });
        });
    }

    /// Whoever asked is told nothing if its coordinator does not read: signs of life must not wait for parts of logs.
    fn report_log_read(&self, report: Report) {
        let Some(reporter) = &self.reporter else {
            return;
        };
        match reporter.try_send_large(report) {
            Ok(true) => {}
            Ok(false) => tracing::debug!("part of a log is not sent: others wait already"),
            Err(error) => tracing::debug!(%error, "not reported"),
        }
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
