//! `convoy submit`: a job for a cluster that runs already.

use std::env::current_dir;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use convoy_client::JobsClient;
use convoy_common::ids::JobId;
use convoy_common::limits::MAX_SLOTS;
use convoy_common::spec::check_message;
use convoy_output::answer;

use super::block_on;
use crate::arguments::SubmitArguments;
use crate::display::Screen;
use crate::run::{Interrupts, Run, WorkersAt, conclude};
use crate::spec_file;

/// Checks the spec, except for what only a node can know, hands it over, prints the job's id and, if asked to, follows it.
pub(crate) fn submit(arguments: &SubmitArguments) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let spec = spec_file::read_as_written(&arguments.spec)?;
    spec.check_workers(arguments.workers)?;
    let spec_json = spec.to_json()?;
    // As many as one agent may be told to run.
    check_message(&spec_json, arguments.workers.min(MAX_SLOTS))?;
    let jobs = JobsClient::of(arguments.coordinators.caller()?);
    block_on(async {
        // First, so that Ctrl-C finds a job that can be cancelled.
        let interrupts = arguments.wait.then(Interrupts::listen).transpose()?;
        let job = jobs.submit(spec_json, arguments.workers).await?;
        answer(&job);
        match interrupts {
            None => Ok(ExitCode::SUCCESS),
            Some(interrupts) => follow(jobs, job, interrupts, arguments.plain, started).await,
        }
    })
}

async fn follow(
    jobs: JobsClient,
    job: JobId,
    mut interrupts: Interrupts,
    plain: bool,
    started: Instant,
) -> anyhow::Result<ExitCode> {
    let folder = current_dir().context("the working directory is gone")?;
    let watch = jobs.watch(&job).await?;
    let mut screen = Screen::new(plain, folder.clone(), started);
    let run = Run::new(
        jobs,
        job.clone(),
        watch,
        WorkersAt::Nodes,
        &mut interrupts,
        &mut screen,
    );
    let ending = run.follow().await;
    screen.close();
    conclude(job, ending, &folder, None, started.elapsed())
}
