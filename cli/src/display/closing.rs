//! The table at the end.

use std::path::Path;
use std::time::Duration;

use comfy_table::presets::{NOTHING, UTF8_FULL_CONDENSED};
use comfy_table::{ContentArrangement, Table};
use convoy_common::summary::{Outcome, RunSummary, SkippedSteps};

use crate::words;

/// Where there is no terminal, lines in files should still be readable.
const WIDTH_WITHOUT_TERMINAL: u16 = 120;

/// Skipped steps that are named: where it began. The summary has more of them.
const SHOWN_STEPS: usize = 5;

/// Two columns, folded to the width of the terminal if there is one.
pub(crate) fn table(rows: &[(&'static str, String)]) -> Table {
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic);
    if table.width().is_none() {
        table.set_width(WIDTH_WITHOUT_TERMINAL);
    }
    for (name, value) in rows {
        table.add_row([*name, value.as_str()]);
    }
    table
}

/// A table without lines, one row of text per line however wide the terminal is, so that `grep` and `awk` can read it.
pub(crate) fn plain_table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header);
    table
}

/// What the table says, with paths as one would type them in `folder`. What a run did not get to is left out, and so is
/// the reason of a success, which only repeats the figures.
pub(crate) fn closing_rows(summary: &RunSummary, folder: &Path) -> Vec<(&'static str, String)> {
    let outcome = match summary.outcome {
        Outcome::Finished => "finished",
        Outcome::Failed => "failed",
        Outcome::Cancelled => "cancelled",
    };
    let wall = Duration::try_from_secs_f64(summary.wall_seconds).unwrap_or_default();
    let logs: Vec<_> = summary
        .logs
        .iter()
        .map(|log| words::path_from(folder, log))
        .collect();
    let rows = [
        ("job", summary.job.as_ref().map(ToString::to_string)),
        ("outcome", Some(outcome.to_owned())),
        (
            "reason",
            Some(summary.reason.clone()).filter(|_| summary.outcome != Outcome::Finished),
        ),
        ("epochs", Some(summary.epochs.to_string())),
        ("steps", Some(words::grouped(summary.steps))),
        ("skipped steps", skipped(&summary.skipped_steps)),
        (
            "coordinator waits",
            Some(summary.coordinator_waits)
                .filter(|waits| *waits > 0)
                .map(words::grouped),
        ),
        ("test accuracy", summary.test_accuracy.map(words::percent)),
        ("wall time", Some(words::duration(wall))),
        ("speed", summary.images_per_second.map(words::rate)),
        ("workers", Some(summary.workers.to_string())),
        ("weights SHA-256", summary.weights_sha256.clone()),
        (
            "checkpoint",
            summary
                .checkpoint
                .as_ref()
                .map(|path| words::path_from(folder, path)),
        ),
        (
            "logs",
            Some(logs.join("\n")).filter(|logs| !logs.is_empty()),
        ),
    ];
    rows.into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

/// `120: 7, 9, 12, ...`
fn skipped(steps: &SkippedSteps) -> Option<String> {
    if steps.count == 0 {
        return None;
    }
    let mut first: Vec<_> = steps
        .first
        .iter()
        .take(SHOWN_STEPS)
        .map(|step| words::grouped(*step))
        .collect();
    if steps.count > first.len() as u64 {
        first.push("...".to_owned());
    }
    Some(format!(
        "{}: {}",
        words::grouped(steps.count),
        first.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use convoy_common::ids::JobId;
    use convoy_common::summary::SUMMARY_FORMAT;

    use super::*;

    #[test]
    fn table_shows_what_there_is() {
        let summary = RunSummary {
            format: SUMMARY_FORMAT,
            job: Some(JobId::try_from("fashion-1".to_owned()).unwrap()),
            outcome: Outcome::Failed,
            reason: "worker 1 ended: killed by signal 9 (SIGKILL)".to_owned(),
            epochs: 1,
            steps: 1_404,
            skipped_steps: SkippedSteps {
                count: 1_000,
                first: (400..500).collect(),
            },
            coordinator_waits: 0,
            test_accuracy: Some(0.8731),
            test_loss: None,
            wall_seconds: 65.2,
            images_per_second: Some(5119.7),
            workers: 2,
            weights_sha256: None,
            checkpoint: None,
            logs: vec![
                PathBuf::from("/jobs/ada/logs/worker-0.log"),
                PathBuf::from("/jobs/ada/logs/worker-1.log"),
            ],
        };
        let expected = "\
┌───────────────┬──────────────────────────────────────────────┐
│ job           ┆ fashion-1                                    │
│ outcome       ┆ failed                                       │
│ reason        ┆ worker 1 ended: killed by signal 9 (SIGKILL) │
│ epochs        ┆ 1                                            │
│ steps         ┆ 1,404                                        │
│ skipped steps ┆ 1,000: 400, 401, 402, 403, 404, ...          │
│ test accuracy ┆ 87.31 %                                      │
│ wall time     ┆ 1 min 05 s                                   │
│ speed         ┆ 5,120 images/s                               │
│ workers       ┆ 2                                            │
│ logs          ┆ logs/worker-0.log                            │
│               ┆ logs/worker-1.log                            │
└───────────────┴──────────────────────────────────────────────┘";
        assert_eq!(
            table(&closing_rows(&summary, Path::new("/jobs/ada"))).to_string(),
            expected
        );
    }
}
