//! A running job, followed to its end: its views, signals, and the life of the agent if it is ours.

use std::path::Path;
use std::time::Duration;

use convoy_client::{JobWatch, JobsClient};
use convoy_common::ids::JobId;
use convoy_common::summary::Outcome;
use convoy_process::ExitDescription;
use convoy_proto::v1;
use tokio::time::{Instant, sleep_until, timeout};

use super::agent::LocalAgent;
use super::interrupt::{Interrupt, Interrupts};
use super::log_tail::last_lines;
use crate::display::Screen;

/// After this the job is killed as if Ctrl-C had been pressed again.
const CANCEL_LIMIT: Duration = Duration::from_secs(15);

/// Asked only to explain why an agent ended.
const LAST_WORDS_LIMIT: Duration = Duration::from_millis(500);

/// How a run ended.
pub(crate) struct Ending {
    /// The job as it was seen last.
    pub(crate) view: v1::JobView,
    /// How.
    pub(crate) outcome: Outcome,
    /// The first line is a sentence, the others are the last lines of a log.
    pub(crate) reason: String,
    /// Who asked for it, if someone did.
    pub(crate) interrupt: Option<Interrupt>,
}

/// Everything that can happen while a job runs.
enum Event {
    View(Box<v1::JobView>),
    WatchEnded(String),
    Interrupted(Interrupt),
    CancelOverdue,
    AgentExited(ExitDescription),
}

/// Who runs the workers.
pub(crate) enum WorkersAt<'a> {
    /// An agent of our own, which ends with the run.
    Agent(&'a mut LocalAgent),
    /// Nodes of a cluster, which go on without us.
    Nodes,
}

/// A submitted job and those who matter to it.
pub(crate) struct Run<'a> {
    jobs: JobsClient,
    job: JobId,
    watch: JobWatch,
    workers: WorkersAt<'a>,
    interrupts: &'a mut Interrupts,
    screen: &'a mut Screen,
    /// The first one and when cancelling takes too long.
    interrupt: Option<(Interrupt, Instant)>,
    view: v1::JobView,
}

impl<'a> Run<'a> {
    /// A job that `watch` watches.
    pub(crate) fn new(
        jobs: JobsClient,
        job: JobId,
        watch: JobWatch,
        workers: WorkersAt<'a>,
        interrupts: &'a mut Interrupts,
        screen: &'a mut Screen,
    ) -> Self {
        Self {
            jobs,
            job,
            watch,
            workers,
            interrupts,
            screen,
            interrupt: None,
            view: v1::JobView::default(),
        }
    }

    /// Shows what happens until the job is over, or until nothing more can come of it.
    pub(crate) async fn follow(mut self) -> Ending {
        loop {
            match self.next_event().await {
                Event::View(view) => {
                    self.screen.show(&view);
                    self.view = *view;
                    if let Some(outcome) = outcome(&self.view) {
                        let reason = self.view.reason.clone();
                        return self.end(outcome, reason);
                    }
                }
                Event::WatchEnded(reason) => return self.unwatched(reason),
                Event::AgentExited(how) => return self.agent_exited(&how).await,
                Event::Interrupted(interrupt) => {
                    if let Some((first, _)) = self.interrupt {
                        return self.kill(first).await;
                    }
                    self.cancel(interrupt).await;
                }
                Event::CancelOverdue => {
                    if let Some((first, _)) = self.interrupt {
                        return self.kill(first).await;
                    }
                }
            }
        }
    }

    async fn next_event(&mut self) -> Event {
        let overdue = self.interrupt.map(|(_, overdue)| overdue);
        tokio::select! {
            // A job that is over explains why its agent ended, so that views come first.
            biased;
            view = self.watch.next() => match view {
                Ok(Some(view)) => Event::View(Box::new(view)),
                Ok(None) => Event::WatchEnded("the coordinator no longer tells how the job is".to_owned()),
                Err(error) => Event::WatchEnded(error.to_string()),
            },
            interrupt = self.interrupts.next() => Event::Interrupted(interrupt),
            how = self.workers.exited() => Event::AgentExited(how),
            () = wait_for(overdue) => Event::CancelOverdue,
        }
    }

    async fn cancel(&mut self, interrupt: Interrupt) {
        self.interrupt = Some((interrupt, Instant::now() + CANCEL_LIMIT));
        let reason = interrupt.reason();
        let again = match self.workers {
            WorkersAt::Agent(_) => "to kill it at once",
            WorkersAt::Nodes => "to wait no longer",
        };
        self.screen.say(&format!(
            "{reason}: cancelling the job; press Ctrl-C again {again}"
        ));
        if let Err(error) = self.jobs.cancel(&self.job, reason).await {
            // The limit ends it all the same.
            self.screen.say(&format!("{error}"));
        }
    }

    async fn kill(mut self, interrupt: Interrupt) -> Ending {
        let reason = interrupt.reason();
        let reason = match &mut self.workers {
            WorkersAt::Agent(agent) => {
                self.screen.say("killing the agent and its workers");
                if let Err(error) = agent.kill().await {
                    self.screen.say(&format!("{error}"));
                }
                format!("{reason}, and killed before it had ended in order")
            }
            WorkersAt::Nodes => format!(
                "{reason}, and not waited for until it ended: `convoy describe {}` tells whether it did",
                self.job
            ),
        };
        self.end(Outcome::Cancelled, reason)
    }

    async fn agent_exited(mut self, how: &ExitDescription) -> Ending {
        // The job may have ended first, and then knows better.
        let view = timeout(LAST_WORDS_LIMIT, self.jobs.describe(&self.job)).await;
        if let Ok(Ok(view)) = view {
            self.view = view;
        }
        if let Some(outcome) = outcome(&self.view) {
            let reason = self.view.reason.clone();
            return self.end(outcome, reason);
        }
        let reason = match &self.workers {
            WorkersAt::Agent(agent) => {
                let (pid, log) = (agent.pid(), agent.log());
                agent_reason(pid, how, log, &last_lines(log))
            }
            WorkersAt::Nodes => how.to_string(),
        };
        self.give_up(reason)
    }

    fn unwatched(self, mut reason: String) -> Ending {
        match self.workers {
            WorkersAt::Agent(_) => {}
            WorkersAt::Nodes => reason += "; the job may go on all the same",
        }
        self.give_up(reason)
    }

    /// The job can't go on, and nobody is left who could say so.
    fn give_up(self, reason: String) -> Ending {
        match self.interrupt {
            Some((interrupt, _)) => self.end(Outcome::Cancelled, interrupt.reason().to_owned()),
            None => self.end(Outcome::Failed, reason),
        }
    }

    fn end(self, outcome: Outcome, reason: String) -> Ending {
        let interrupt = self.interrupt.map(|(interrupt, _)| interrupt);
        Ending {
            view: self.view,
            outcome,
            reason,
            interrupt,
        }
    }
}

impl WorkersAt<'_> {
    /// How our agent ended, once it has.
    async fn exited(&mut self) -> ExitDescription {
        match self {
            Self::Agent(agent) => agent.exited().await,
            Self::Nodes => std::future::pending().await,
        }
    }
}

async fn wait_for(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// How the job ended, if it has.
fn outcome(view: &v1::JobView) -> Option<Outcome> {
    match view.state() {
        v1::JobState::Finished => Some(Outcome::Finished),
        v1::JobState::Failed => Some(Outcome::Failed),
        v1::JobState::Cancelled => Some(Outcome::Cancelled),
        v1::JobState::Unspecified
        | v1::JobState::Waiting
        | v1::JobState::Forming
        | v1::JobState::Training => None,
    }
}

fn agent_reason(pid: u32, how: &ExitDescription, log: &Path, last_lines: &[String]) -> String {
    let mut reason = format!(
        "the agent (pid {pid}) ended before the job: {how}; its log is {}",
        log.display()
    );
    for line in last_lines {
        reason.push_str("\n  ");
        reason.push_str(line);
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_agent_is_told_with_log_and_last_lines() {
        let how = ExitDescription {
            clean: false,
            how: "killed by signal 9 (SIGKILL)".to_owned(),
        };
        let reason = agent_reason(
            42,
            &how,
            Path::new("/logs/agent.log"),
            &["line 1".to_owned()],
        );
        assert_eq!(
            reason,
            "the agent (pid 42) ended before the job: killed by signal 9 (SIGKILL); its log is /logs/agent.log\n  line 1"
        );
    }
}
