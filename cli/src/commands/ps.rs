//! `convoy ps`.

use std::process::ExitCode;

use comfy_table::Table;
use convoy_client::JobsClient;
use convoy_output::answer;
use convoy_proto::v1;
use serde::Serialize;

use super::block_on;
use crate::arguments::{OutputForm, PsArguments};
use crate::display::plain_table;
use crate::words::{grouped, one_line, rate, state};

/// Lists jobs in the order of their submission.
pub(crate) fn ps(arguments: &PsArguments) -> anyhow::Result<ExitCode> {
    let jobs = JobsClient::of(arguments.coordinators.caller()?);
    let list = block_on(async { Ok(jobs.list_jobs(!arguments.all).await?) })?;
    match arguments.output {
        OutputForm::Table => answer(table(&list)),
        OutputForm::Json => {
            let jobs = list.iter().map(Shown::of).collect();
            answer(serde_json::to_string_pretty(&ShownJobs { jobs })?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn table(list: &[v1::JobSummary]) -> Table {
    let mut table = plain_table(["JOB", "STATE", "WORKERS", "STEP", "SPEED", "REASON"]);
    for job in list {
        let step = match (job.step, job.steps) {
            (Some(step), Some(steps)) => format!("{}/{}", grouped(step), grouped(steps)),
            (Some(step), None) => grouped(step),
            (None, _) => "-".to_owned(),
        };
        let speed = job.images_per_second.filter(|speed| *speed > 0.0);
        table.add_row([
            job.job_id.clone(),
            state(job.state()).to_owned(),
            format!("{}/{}", job.workers_live, job.workers_wanted),
            step,
            speed.map_or_else(|| "-".to_owned(), rate),
            one_line(&job.reason),
        ]);
    }
    table
}

/// What is shown, in its form as JSON.
#[derive(Debug, Serialize)]
struct ShownJobs<'a> {
    jobs: Vec<Shown<'a>>,
}

#[derive(Debug, Serialize)]
struct Shown<'a> {
    job: &'a str,
    /// Counts the jobs of the cluster, from 1.
    number: u64,
    name: &'a str,
    /// waiting, forming, training, finished, failed or cancelled
    state: &'static str,
    reason: &'a str,
    workers_wanted: u32,
    /// Those that hold a slot.
    workers_live: u32,
    generation: u64,
    /// Null until they are known.
    step: Option<u64>,
    steps: Option<u64>,
    images_per_second: Option<f64>,
}

impl<'a> Shown<'a> {
    fn of(job: &'a v1::JobSummary) -> Self {
        Self {
            job: &job.job_id,
            number: job.number,
            name: &job.name,
            state: state(job.state()),
            reason: &job.reason,
            workers_wanted: job.workers_wanted,
            workers_live: job.workers_live,
            generation: job.generation,
            step: job.step,
            steps: job.steps,
            images_per_second: job.images_per_second,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_job_is_a_line_with_its_reason() {
        let training = v1::JobSummary {
            job_id: "tiny-1".to_owned(),
            number: 1,
            state: v1::JobState::Training.into(),
            reason: "generation 1 trains with 2 workers: step 1200 of 5000".to_owned(),
            workers_wanted: 2,
            workers_live: 2,
            step: Some(1_200),
            steps: Some(5_000),
            images_per_second: Some(2_104.4),
            ..Default::default()
        };
        let waiting = v1::JobSummary {
            job_id: "tiny-2".to_owned(),
            number: 2,
            state: v1::JobState::Waiting.into(),
            reason: "waits for 1 more worker slot\u{1b}[2J".to_owned(),
            workers_wanted: 1,
            ..Default::default()
        };
        let table = table(&[training, waiting]).to_string();
        let lines: Vec<&str> = table.lines().map(str::trim_end).collect();
        assert_eq!(
            lines,
            [
                " JOB     STATE     WORKERS  STEP         SPEED           REASON",
                " tiny-1  training  2/2      1,200/5,000  2,104 images/s  generation 1 trains with 2 workers: step 1200 of 5000",
                " tiny-2  waiting   0/1      -            -               waits for 1 more worker slot\u{fffd}[2J",
            ]
        );
    }
}
