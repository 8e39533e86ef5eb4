//! `convoy describe`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::ExitCode;

use comfy_table::Table;
use convoy_client::JobsClient;
use convoy_output::answer;
use convoy_proto::v1;
use serde::Serialize;

use super::block_on;
use super::job_error::explained;
use crate::arguments::{DescribeArguments, OutputForm};
use crate::display::{plain_table, table};
use crate::words::{grouped, one_line, percent, percent_roughly, printable, rate, state};

/// Evaluations and checkpoints that the table has room for: the newest. JSON has all.
const SHOWN: usize = 5;

/// Shows one job.
pub(crate) fn describe(arguments: &DescribeArguments) -> anyhow::Result<ExitCode> {
    let jobs = JobsClient::of(arguments.coordinators.caller()?);
    let job = &arguments.job;
    let view = block_on(async {
        match jobs.describe(job).await {
            Ok(view) => Ok(view),
            Err(error) => Err(explained(&jobs, job, error).await),
        }
    })?;
    match arguments.output {
        OutputForm::Table => {
            answer(table(&rows(&view)));
            if !view.workers.is_empty() {
                answer(workers(&view));
            }
        }
        OutputForm::Json => answer(serde_json::to_string_pretty(&Shown::of(&view))?),
    }
    Ok(ExitCode::SUCCESS)
}

/// What there is to say, each with its name.
fn rows(view: &v1::JobView) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        ("job", view.job_id.clone()),
        ("state", state(view.state()).to_owned()),
        ("reason", lines(&view.reason)),
        ("generation", view.generation.to_string()),
    ];
    if let Some(progress) = &view.progress {
        rows.push(("progress", progress_line(progress)));
    }
    let newest = |count: usize| count.saturating_sub(SHOWN);
    let evaluations = &view.evaluations;
    for evaluation in &evaluations[newest(evaluations.len())..] {
        rows.push(("evaluation", evaluation_line(evaluation)));
    }
    let checkpoints = &view.checkpoints;
    for checkpoint in &checkpoints[newest(checkpoints.len())..] {
        let v1::Manifest { step, folder, .. } = checkpoint;
        let (step, folder) = (grouped(*step), printable(folder));
        rows.push(("checkpoint", format!("after step {step}: {folder}")));
    }
    let notes: BTreeMap<_, _> = view.annotations.iter().collect();
    for (key, value) in notes {
        rows.push(("note", format!("{}: {}", printable(key), lines(value))));
    }
    rows
}

/// What came from elsewhere may have several lines, as reasons with the last lines of a log have.
fn lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(printable).collect();
    lines.join("\n")
}

fn progress_line(progress: &v1::Progress) -> String {
    let step = progress.position.map_or(0, |position| position.step);
    let mut line = format!(
        "step {} of {}, epoch {} of {}",
        grouped(step),
        grouped(progress.steps),
        (progress.epoch + 1).min(progress.epochs),
        progress.epochs
    );
    // Writing to a String can't fail.
    if step > 0 {
        let (loss, accuracy) = (progress.loss, percent_roughly(progress.accuracy));
        let _ = write!(line, ", loss {loss:.3}, accuracy {accuracy}");
        let _ = write!(line, ", {}", rate(progress.images_per_second));
    }
    if progress.skipped > 0 {
        let _ = write!(line, ", {} steps skipped", grouped(progress.skipped));
    }
    line
}

fn evaluation_line(evaluation: &v1::Evaluation) -> String {
    let share = evaluation.correct as f64 / evaluation.samples.max(1) as f64;
    format!(
        "after step {}: accuracy {}, loss {:.3}",
        grouped(evaluation.step),
        percent(share),
        evaluation.loss
    )
}

fn workers(view: &v1::JobView) -> Table {
    let mut table = plain_table(["WORKER", "RANK", "STATE", "NODE", "SLOT", "PID", "LOG"]);
    for worker in &view.workers {
        table.add_row([
            worker.worker_id.to_string(),
            rank(view, worker).map_or_else(|| "-".to_owned(), |rank| rank.to_string()),
            one_line(&worker.state),
            worker.node_id.clone(),
            worker.slot.to_string(),
            match worker.pid {
                0 => "-".to_owned(),
                pid => pid.to_string(),
            },
            match worker.log_path.as_str() {
                "" => "-".to_owned(),
                path => one_line(path),
            },
        ]);
    }
    table
}

/// Ranks mean something from the first generation on.
fn rank(view: &v1::JobView, worker: &v1::WorkerView) -> Option<u32> {
    (view.generation > 0).then_some(worker.rank)
}

/// What is shown, in its form as JSON.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    job: &'a str,
    name: &'a str,
    /// waiting, forming, training, finished, failed or cancelled
    state: &'static str,
    reason: &'a str,
    /// 0 before the first.
    generation: u64,
    workers: Vec<ShownWorker<'a>>,
    /// Null until it is known.
    progress: Option<ShownProgress<'a>>,
    /// Newest last.
    evaluations: Vec<ShownEvaluation>,
    /// Newest last.
    checkpoints: Vec<ShownCheckpoint<'a>>,
    notes: BTreeMap<&'a str, &'a str>,
}

#[derive(Debug, Serialize)]
struct ShownWorker<'a> {
    worker: u32,
    incarnation: u64,
    /// Null before the first generation.
    rank: Option<u32>,
    /// assigned, started, attached, ready, training or exited
    state: &'a str,
    node: &'a str,
    slot: u32,
    /// Null until it was started.
    pid: Option<u32>,
    log: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct ShownProgress<'a> {
    step: u64,
    steps: u64,
    /// From 0.
    epoch: u32,
    epochs: u32,
    loss: f64,
    accuracy: f64,
    images_per_second: f64,
    samples: u64,
    step_seconds: f64,
    other_seconds: f64,
    skipped: u64,
    /// The first of them.
    skipped_steps: &'a [u64],
    /// How often training waited for a coordinator.
    coordinator_waits: u64,
}

#[derive(Debug, Serialize)]
struct ShownEvaluation {
    step: u64,
    samples: u64,
    correct: u64,
    loss: f64,
}

#[derive(Debug, Serialize)]
struct ShownCheckpoint<'a> {
    step: u64,
    epoch: u32,
    generation: u64,
    folder: &'a str,
    is_final: bool,
}

impl<'a> Shown<'a> {
    fn of(view: &'a v1::JobView) -> Self {
        let notes = view.annotations.iter();
        Self {
            job: &view.job_id,
            name: &view.name,
            state: state(view.state()),
            reason: &view.reason,
            generation: view.generation,
            workers: view
                .workers
                .iter()
                .map(|worker| shown_worker(view, worker))
                .collect(),
            progress: view.progress.as_ref().map(shown_progress),
            evaluations: view.evaluations.iter().map(shown_evaluation).collect(),
            checkpoints: view.checkpoints.iter().map(shown_checkpoint).collect(),
            notes: notes
                .map(|(key, value)| (key.as_str(), value.as_str()))
                .collect(),
        }
    }
}

fn shown_worker<'a>(view: &v1::JobView, worker: &'a v1::WorkerView) -> ShownWorker<'a> {
    ShownWorker {
        worker: worker.worker_id,
        incarnation: worker.incarnation,
        rank: rank(view, worker),
        state: &worker.state,
        node: &worker.node_id,
        slot: worker.slot,
        pid: Some(worker.pid).filter(|pid| *pid > 0),
        log: Some(worker.log_path.as_str()).filter(|path| !path.is_empty()),
    }
}

fn shown_progress(progress: &v1::Progress) -> ShownProgress<'_> {
    ShownProgress {
        step: progress.position.map_or(0, |position| position.step),
        steps: progress.steps,
        epoch: progress.epoch,
        epochs: progress.epochs,
        loss: progress.loss,
        accuracy: progress.accuracy,
        images_per_second: progress.images_per_second,
        samples: progress.samples,
        step_seconds: progress.step_seconds,
        other_seconds: progress.other_seconds,
        skipped: progress.skipped,
        skipped_steps: &progress.skipped_steps,
        coordinator_waits: progress.coordinator_waits,
    }
}

fn shown_evaluation(evaluation: &v1::Evaluation) -> ShownEvaluation {
    ShownEvaluation {
        step: evaluation.step,
        samples: evaluation.samples,
        correct: evaluation.correct,
        loss: evaluation.loss,
    }
}

fn shown_checkpoint(checkpoint: &v1::Manifest) -> ShownCheckpoint<'_> {
    ShownCheckpoint {
        step: checkpoint.step,
        epoch: checkpoint.epoch,
        generation: checkpoint.generation,
        folder: &checkpoint.folder,
        is_final: checkpoint.r#final,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_job_is_shown_with_the_last_lines_of_a_log_and_its_workers() {
        let view = v1::JobView {
            job_id: "tiny-1".to_owned(),
            name: "tiny".to_owned(),
            state: v1::JobState::Failed.into(),
            reason: "worker 0 ended\n  the \u{1b}last line".to_owned(),
            workers: vec![v1::WorkerView {
                node_id: "n1".to_owned(),
                state: "exited".to_owned(),
                ..Default::default()
            }],
            ..Default::default()
        };
        let reason = &rows(&view)[2];
        assert_eq!(
            *reason,
            (
                "reason",
                "worker 0 ended\n  the \u{fffd}last line".to_owned()
            )
        );
        let table = workers(&view).to_string();
        let last: Vec<&str> = table
            .lines()
            .last()
            .into_iter()
            .flat_map(str::split_whitespace)
            .collect();
        assert_eq!(last, ["0", "-", "exited", "n1", "0", "-", "-"]);
    }
}
