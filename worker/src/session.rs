//! The session with the coordinator: directives in, membership decides, the replica performs, reports out.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::{Context, bail};
use convoy_client::{Link, LinkEvent, Reporter, WorkerSide};
use convoy_collective::{AbortHandle, RingListener};
use convoy_common::ids::{Attempt, Rank};
use convoy_membership::{Input, Member, Membership, Output, Report};
use convoy_proto::{PROTOCOL_VERSION, v1};
use convoy_telemetry::Label;
use convoy_wire as words;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use crate::arguments::Work;
use crate::check::BUILD;
use crate::convert::{self, Directive};
use crate::replica::{Command, Event, Group, Outlets, Progress, Replica};
use crate::said::Said;

/// Training goes on without a coordinator. How long that makes sense is for the agent to say, which ends this process.
const REACH_LIMIT: Duration = Duration::from_secs(3600);
/// How often rank 0 says how far the job is; a display needs no more.
const PROGRESS_PERIOD: Duration = Duration::from_millis(500);

/// How the work came to its end.
enum End {
    /// Told so.
    Finished { reason: String },
    /// By a signal to this process.
    Terminated,
    /// For a reason of its own, which the coordinator must hear.
    Failed { reason: String },
    /// The coordinators are gone, or refuse this worker.
    SessionLost { reason: String },
}

/// Works until told to finish.
///
/// # Errors
/// If the coordinators can't be reached or refuse this worker, or if it can't go on; the error says why.
pub(crate) async fn run(work: Work, label: &Label) -> anyhow::Result<()> {
    let listener =
        RingListener::bind_within(work.listen_host, work.data_ports.clone(), &work.access)
            .context("cannot listen for other workers")?;
    let data_address = SocketAddr::new(work.advertised_host, listener.local_addr().port());
    let hello = v1::WorkerHello {
        protocol_version: PROTOCOL_VERSION,
        build: BUILD.to_owned(),
        worker: Some(words::worker_ref(&work.me)),
        pid: std::process::id(),
        data_address: data_address.to_string(),
    };
    let mut link = Link::<WorkerSide>::start(work.coordinators.clone(), hello, REACH_LIMIT);
    let reporter = first_session(&mut link).await?;
    let membership = Membership::new(work.me.clone());
    let (replica, Outlets { events, progress }) =
        Replica::start(work.spec, work.me, listener).context("could not start the replica")?;
    let mut worker = Worker {
        membership,
        replica,
        progress,
        reporter,
        said: Said::default(),
        label,
        abort: AbortHandle::new(),
        rank: None,
    };
    let end = worker.work(&mut link, events).await?;
    worker.finish(end, link).await
}

async fn first_session(link: &mut Link<WorkerSide>) -> anyhow::Result<Reporter<WorkerSide>> {
    match link.next().await {
        LinkEvent::Opened {
            coordinator,
            reporter,
        } => {
            tracing::info!(%coordinator, "session opened");
            Ok(reporter)
        }
        LinkEvent::Lost { reason } | LinkEvent::Gone { reason } => bail!(reason),
        LinkEvent::Directive(_) => bail!("a directive came before the session was open"),
    }
}

/// The parts of a worker at work.
struct Worker<'a> {
    membership: Membership,
    replica: Replica,
    /// Written by the replica at every step.
    progress: watch::Receiver<Progress>,
    /// Of the newest session, which may be lost.
    reporter: Reporter<WorkerSide>,
    said: Said,
    label: &'a Label,
    /// Of the group that stands or is being built.
    abort: AbortHandle,
    /// In that group.
    rank: Option<Rank>,
}

impl Worker<'_> {
    async fn work(
        &mut self,
        link: &mut Link<WorkerSide>,
        mut events: mpsc::Receiver<Event>,
    ) -> anyhow::Result<End> {
        let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
        let mut ticks = interval(PROGRESS_PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let flow = tokio::select! {
                heard = link.next() => self.heard(heard).await?,
                event = events.recv() => match event {
                    Some(event) => self.event(event).await,
                    None => ControlFlow::Break(End::Failed { reason: "the replica thread ended".to_owned() }),
                },
                _ = ticks.tick() => {
                    self.report_progress().await;
                    ControlFlow::Continue(())
                }
                _ = terminate.recv() => ControlFlow::Break(End::Terminated),
            };
            if let ControlFlow::Break(end) = flow {
                return Ok(end);
            }
        }
    }

    async fn heard(&mut self, event: LinkEvent<WorkerSide>) -> anyhow::Result<ControlFlow<End>> {
        match event {
            LinkEvent::Directive(wire) => {
                let directive = convert::directive(wire)?;
                return Ok(self.directive(directive).await);
            }
            LinkEvent::Opened {
                coordinator,
                reporter,
            } => {
                tracing::info!(%coordinator, "session opened again");
                self.reporter = reporter;
                for report in self.said.again() {
                    self.send(report).await;
                }
            }
            LinkEvent::Lost { reason } => tracing::warn!(reason, "session lost, trying again"),
            LinkEvent::Gone { reason } => {
                return Ok(ControlFlow::Break(End::SessionLost { reason }));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    async fn directive(&mut self, directive: Directive) -> ControlFlow<End> {
        match directive {
            Directive::Welcome => ControlFlow::Continue(()),
            Directive::Stop { attempt } => self.step(Input::Stop { attempt }).await,
            Directive::Prepare {
                attempt,
                members,
                start,
                parent,
            } => {
                self.step(Input::Prepare {
                    attempt,
                    members,
                    start,
                    parent,
                })
                .await
            }
            Directive::Go {
                attempt,
                generation,
            } => {
                self.step(Input::Go {
                    attempt,
                    generation,
                })
                .await
            }
            Directive::WriteManifest { manifest, folder } => {
                self.write_manifest(manifest, folder).await
            }
            Directive::Finish { reason } => self.step(Input::Finish { reason }).await,
        }
    }

    async fn event(&mut self, event: Event) -> ControlFlow<End> {
        match event {
            Event::Standing { attempt, standing } => {
                self.report(convert::stopped(attempt, &standing)).await
            }
            Event::Joined {
                attempt,
                state_digest,
            } => {
                return self
                    .step(Input::CollectiveBuilt {
                        attempt,
                        state_digest,
                    })
                    .await;
            }
            Event::JoinFailed { attempt, reason } => {
                return self.step(Input::CollectiveFailed { attempt, reason }).await;
            }
            Event::Broken { attempt, reason } => {
                return self.step(Input::CollectiveFailed { attempt, reason }).await;
            }
            Event::Evaluated {
                generation,
                step,
                counts,
            } => {
                self.report_progress().await;
                if self.rank == Some(Rank(0)) {
                    self.report(convert::evaluated(generation, step, &counts))
                        .await;
                }
            }
            Event::SliceWritten(written) => self.report(convert::slice_written(written)).await,
            Event::Trained {
                generation,
                position,
            } => {
                return self
                    .step(Input::TrainingDone {
                        generation,
                        position,
                    })
                    .await;
            }
            Event::Failed { reason } => return ControlFlow::Break(End::Failed { reason }),
        }
        ControlFlow::Continue(())
    }
}

impl Worker<'_> {
    /// Lets membership decide, and does what it says.
    async fn step(&mut self, input: Input) -> ControlFlow<End> {
        for output in self.membership.step(input) {
            if let flow @ ControlFlow::Break(_) = self.perform(output).await {
                return flow;
            }
        }
        ControlFlow::Continue(())
    }

    async fn perform(&mut self, output: Output) -> ControlFlow<End> {
        match output {
            Output::Ignored { what } => tracing::warn!(what, "ignored"),
            Output::LeaveCollective { reason } => self.abort.abort(reason),
            Output::BuildCollective {
                attempt,
                members,
                own,
            } => self.build(attempt, members, own),
            Output::StartTraining {
                attempt,
                generation,
                start,
            } => {
                tracing::info!(%generation, %attempt, %start, "training begins");
                self.replica.tell(Command::Train {
                    attempt,
                    generation,
                    start,
                });
            }
            Output::Exit { reason } => return ControlFlow::Break(End::Finished { reason }),
            Output::Report(Report::Stopped { attempt }) => {
                self.replica.tell(Command::Stand { attempt })
            }
            Output::Report(Report::Ready {
                attempt,
                state_digest,
            }) => self.report(convert::ready(attempt, state_digest)).await,
            Output::Report(Report::Broken {
                attempt,
                generation,
                reason,
            }) => {
                tracing::warn!(%generation, %attempt, reason, "the group is broken");
                self.report_progress().await;
                self.report(convert::broken(attempt, generation, reason))
                    .await;
            }
            Output::Report(Report::Trained {
                generation,
                position,
            }) => {
                self.report_progress().await;
                self.report(convert::trained(generation, position)).await;
            }
        }
        ControlFlow::Continue(())
    }

    fn build(&mut self, attempt: Attempt, members: Vec<Member>, own: usize) {
        self.abort = AbortHandle::new();
        self.rank = Some(members[own].rank);
        self.label.set(format!("rank {}", members[own].rank));
        let group = Group {
            attempt,
            members,
            own,
        };
        self.replica.tell(Command::Join {
            group,
            abort: self.abort.clone(),
        });
    }

    /// Says how far the job is, if this is rank 0 and that is news. Also before every report that may be the job's last: a
    /// short job is over before the first tick. Others speak up once they had to wait for a coordinator.
    async fn report_progress(&mut self) {
        let speaks = self.rank == Some(Rank(0)) || self.progress.borrow().coordinator_waits > 0;
        if speaks && self.progress.has_changed().unwrap_or(false) {
            let newest = convert::progress(&self.progress.borrow_and_update());
            self.report(newest).await;
        }
    }

    async fn report(&mut self, report: v1::worker_report::Report) {
        self.said.note(&report);
        self.send(report).await;
    }

    async fn send(&self, report: v1::worker_report::Report) {
        // A session that was lost shows up as such where directives are awaited, and what matters is said in the next.
        if self.reporter.send(report).await.is_err() {
            tracing::debug!("a report found the session closed");
        }
    }

    async fn write_manifest(
        &mut self,
        manifest: convoy_checkpoint::Manifest,
        folder: std::path::PathBuf,
    ) -> ControlFlow<End> {
        let written = convoy_checkpoint::write_manifest(&folder, &manifest);
        match written {
            Ok(path) => {
                tracing::info!(step = manifest.step.0, manifest = %path.display(), "checkpoint is complete");
                self.report(convert::manifest_written(&manifest)).await;
                ControlFlow::Continue(())
            }
            Err(error) => {
                let reason = format!(
                    "could not write the manifest of the checkpoint of step {}: {error}",
                    manifest.step
                );
                ControlFlow::Break(End::Failed { reason })
            }
        }
    }

    /// Ends replica and session, in this order for a worker that is whole and in the other for one that failed: the
    /// coordinator must not wait for its reason.
    async fn finish(mut self, end: End, link: Link<WorkerSide>) -> anyhow::Result<()> {
        self.abort.abort("the worker ends");
        if let End::Failed { reason } = &end {
            self.report_progress().await;
            self.report(convert::failed(reason.clone())).await;
        }
        drop(self.reporter);
        link.close().await;
        self.replica.end();
        match end {
            End::Finished { reason } => {
                tracing::info!(reason, "finished");
                Ok(())
            }
            End::Terminated => {
                tracing::info!("ended by SIGTERM");
                Ok(())
            }
            End::Failed { reason } => bail!(reason),
            End::SessionLost { reason } => bail!("lost the coordinators: {reason}"),
        }
    }
}
