//! `convoy logs`: read part by part at the reader's pace, so that nobody has to hold what was not printed yet.

mod choice;
mod printer;

use std::io::{self, ErrorKind, Stdout, stdout};
use std::process::ExitCode;
use std::time::Duration;

use convoy_client::{ClientError, JobsClient, LogFrom};
use convoy_common::ids::{Incarnation, JobId, WorkerId, WorkerRef};
use convoy_output::notice;
use convoy_proto::v1;
use tokio::time::{Instant, sleep};

use self::choice::Choice;
use self::printer::{Line, Printer};
use super::block_on;
use super::job_error::explained;
use crate::arguments::LogsArguments;
use crate::failure::FAILED;

/// Between two looks at logs that did not grow.
const LOOK_PERIOD: Duration = Duration::from_millis(500);

/// Between two looks at the job, which may get other workers or end.
const VIEW_PERIOD: Duration = Duration::from_secs(2);

/// Shows logs, and with `--follow` what comes to them until the job is over.
pub(crate) fn logs(arguments: &LogsArguments) -> anyhow::Result<ExitCode> {
    let jobs = JobsClient::of(arguments.coordinators.caller()?);
    let ended = block_on(Reading::of(&jobs, arguments).read(arguments.follow));
    match ended {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(ExitCode::from(FAILED)),
        // `convoy logs ... | head` is no error.
        Err(error) if is_reader_gone(&error) => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error),
    }
}

fn is_reader_gone(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// What is read of one job.
struct Reading<'a> {
    jobs: &'a JobsClient,
    job: &'a JobId,
    choice: Choice,
    begin: LogFrom,
    logs: Vec<OneLog>,
}

/// The log of one life of a worker.
struct OneLog {
    worker: WorkerRef,
    next: LogFrom,
    line: Line,
    standing: Standing,
}

enum Standing {
    /// There may be more.
    Open,
    /// It was read to its end.
    Whole,
    /// Why it could not be read the last time.
    Failed(String),
}

impl<'a> Reading<'a> {
    fn of(jobs: &'a JobsClient, arguments: &'a LogsArguments) -> Self {
        Self {
            jobs,
            job: &arguments.job,
            choice: Choice::of(arguments.rank, arguments.worker),
            begin: arguments
                .tail
                .map_or(LogFrom::Offset(0), LogFrom::LastLines),
            logs: Vec::new(),
        }
    }

    /// Whether every log could be read.
    async fn read(mut self, follow: bool) -> anyhow::Result<bool> {
        let view = self.view().await?;
        if follow {
            return self.follow(view).await;
        }
        self.add(&view).map_err(anyhow::Error::msg)?;
        let mut printer = Printer::new(stdout(), self.logs.len() > 1);
        let mut all_read = true;
        for log in &mut self.logs {
            log.read_to_end(self.jobs, &mut printer).await?;
            printer.finish(log.worker.worker.0, &mut log.line)?;
            all_read &= !log.has_failed();
        }
        Ok(all_read)
    }

    async fn view(&self) -> anyhow::Result<v1::JobView> {
        match self.jobs.describe(self.job).await {
            Ok(view) => Ok(view),
            Err(error) => Err(explained(self.jobs, self.job, error).await),
        }
    }

    /// Takes up the logs of workers that are new in `view`.
    fn add(&mut self, view: &v1::JobView) -> Result<(), String> {
        for chosen in self.choice.among(view)? {
            let worker = WorkerRef {
                job: self.job.clone(),
                worker: WorkerId(chosen.worker_id),
                incarnation: Incarnation(chosen.incarnation),
            };
            if self.logs.iter().all(|log| log.worker != worker) {
                self.logs.push(OneLog {
                    worker,
                    next: self.begin,
                    line: Line::default(),
                    standing: Standing::Open,
                });
            }
        }
        Ok(())
    }

    async fn follow(mut self, mut view: v1::JobView) -> anyhow::Result<bool> {
        let (mut looked, mut waits_for) = (Instant::now(), String::new());
        let mut printer: Option<Printer<Stdout>> = None;
        loop {
            let is_over = is_over(&view);
            match self.add(&view) {
                Ok(()) => {}
                Err(nobody) if is_over => anyhow::bail!(nobody),
                Err(nobody) => {
                    if nobody != waits_for {
                        notice(&nobody);
                        waits_for = nobody;
                    }
                }
            }
            // Whether lines are named is decided once, with the first workers that are seen.
            let named = self.logs.len() > 1;
            let has_grown = match (&mut printer, self.logs.is_empty()) {
                (None, true) => false,
                (printer, _) => {
                    let printer = printer.get_or_insert_with(|| Printer::new(stdout(), named));
                    self.read_on(printer).await?
                }
            };
            if is_over && self.logs.iter().all(|log| !log.is_open()) {
                return Ok(self.logs.iter().all(|log| !log.has_failed()));
            }
            if !has_grown {
                sleep(LOOK_PERIOD).await;
            }
            if looked.elapsed() >= VIEW_PERIOD {
                view = self.view().await?;
                looked = Instant::now();
            }
        }
    }

    /// Reads a part of each log; whether one of them has grown.
    async fn read_on(&mut self, printer: &mut Printer<Stdout>) -> anyhow::Result<bool> {
        let mut has_grown = false;
        for log in &mut self.logs {
            has_grown |= log.read_part(self.jobs, printer).await?;
            if !log.is_open() {
                printer.finish(log.worker.worker.0, &mut log.line)?;
            }
        }
        Ok(has_grown)
    }
}

impl OneLog {
    /// Reads up to the length that the log has now: one that grows faster would never end.
    async fn read_to_end(
        &mut self,
        jobs: &JobsClient,
        printer: &mut Printer<Stdout>,
    ) -> anyhow::Result<()> {
        let mut end = None;
        loop {
            let Some(part) = self.part(jobs).await? else {
                return Ok(());
            };
            printer.print(self.worker.worker.0, &mut self.line, &part.bytes)?;
            let end = *end.get_or_insert(part.length);
            if part.bytes.is_empty() || part.offset + part.bytes.len() as u64 >= end {
                return Ok(());
            }
        }
    }

    /// Reads one part; whether it holds anything.
    async fn read_part(
        &mut self,
        jobs: &JobsClient,
        printer: &mut Printer<Stdout>,
    ) -> anyhow::Result<bool> {
        if let Standing::Whole = self.standing {
            return Ok(false);
        }
        let Some(part) = self.part(jobs).await? else {
            return Ok(false);
        };
        printer.print(self.worker.worker.0, &mut self.line, &part.bytes)?;
        if part.is_complete && part.offset + part.bytes.len() as u64 >= part.length {
            self.standing = Standing::Whole;
        }
        Ok(!part.bytes.is_empty())
    }

    /// The next part; none, and the reason is said, if there is nobody who could show it.
    async fn part(&mut self, jobs: &JobsClient) -> anyhow::Result<Option<v1::LogPart>> {
        match jobs.read_log(&self.worker, self.next).await {
            Ok(part) => {
                let read = part.offset.saturating_add(part.bytes.len() as u64);
                self.next = LogFrom::Offset(read);
                self.standing = Standing::Open;
                Ok(Some(part))
            }
            Err(ClientError::Refused { message, .. }) => {
                self.fail(message);
                Ok(None)
            }
            Err(
                error @ (ClientError::Unreachable(_)
                | ClientError::Lost { .. }
                | ClientError::Malformed { .. }),
            ) => Err(error.into()),
        }
    }

    fn fail(&mut self, why: String) {
        let is_said = matches!(&self.standing, Standing::Failed(said) if *said == why);
        if !is_said {
            notice(format_args!("error: {why}"));
        }
        self.standing = Standing::Failed(why);
    }

    fn is_open(&self) -> bool {
        matches!(self.standing, Standing::Open)
    }

    fn has_failed(&self) -> bool {
        matches!(self.standing, Standing::Failed(_))
    }
}

fn is_over(view: &v1::JobView) -> bool {
    match view.state() {
        v1::JobState::Finished | v1::JobState::Failed | v1::JobState::Cancelled => true,
        v1::JobState::Unspecified
        | v1::JobState::Waiting
        | v1::JobState::Forming
        | v1::JobState::Training => false,
    }
}
