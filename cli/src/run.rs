//! `convoy run`: a coordinator, an agent and its workers on this machine, from the first check to the last process gone.

mod agent;
mod closing;
mod conduct;
mod follow;
mod interrupt;
mod job_number;
mod leftover;
mod log_tail;
mod preflight;

pub(crate) use closing::conclude;
pub(crate) use follow::{Run, WorkersAt};
pub(crate) use interrupt::Interrupts;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use convoy_telemetry::LogTarget;
use tokio::runtime::Runtime;

use self::preflight::Checked;
use crate::arguments::RunArguments;
use crate::display::Screen;
use crate::{result_file, summary};

/// Where the coordinator of a run logs to; its agent and workers log beside their job.
const COORDINATOR_LOG: &str = "coordinator.log";

/// Runs the job to its end, whatever that is.
pub(crate) fn run(arguments: &RunArguments) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let summary = arguments.summary.as_deref();
    if let Some(file) = summary {
        result_file::check("--summary", file)?;
        summary::forget(file)?;
    }
    let (checked, runtime) = match prepare(arguments) {
        Ok(prepared) => prepared,
        Err(error) => {
            closing::refuse(&error, summary, started.elapsed());
            return Err(error);
        }
    };
    let mut screen = Screen::new(arguments.plain, checked.folder.clone(), started);
    for line in preflight::summary(&checked) {
        screen.say(&line);
    }
    let ending = runtime.block_on(conduct::conduct(&checked, &mut screen));
    screen.close();
    closing::close(&checked, ending, summary, started.elapsed())
}

/// All that can be wrong before there is a coordinator.
fn prepare(arguments: &RunArguments) -> anyhow::Result<(Checked, Runtime)> {
    let checked = preflight::check(arguments)?;
    convoy_telemetry::init(
        &LogTarget::File(checked.work_dir.join(COORDINATOR_LOG)),
        "info",
    )?;
    // The coordinator has a thread of its own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    Ok((checked, runtime))
}
