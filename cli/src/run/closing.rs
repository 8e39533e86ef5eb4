//! The last words of a run: summary file, table, reason, exit code.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use convoy_common::ids::JobId;
use convoy_common::summary::{Outcome, RunSummary, SkippedSteps};
use convoy_output::{answer, notice};
use convoy_proto::v1;

use super::follow::Ending;
use super::preflight::Checked;
use crate::display::{closing_rows, table};
use crate::words::{self, grouped};
use crate::{failure, result_file, summary};

/// Writes and prints the outcome; an error that came before the job could start is passed on after that.
pub(crate) fn close(
    checked: &Checked,
    ending: anyhow::Result<Ending>,
    summary_file: Option<&Path>,
    wall: Duration,
) -> anyhow::Result<ExitCode> {
    let job = checked.job().clone();
    match ending {
        Ok(ending) => conclude(job, ending, &checked.folder, summary_file, wall),
        Err(error) => {
            write_failure(Some(job), &error, summary_file, wall);
            Err(error)
        }
    }
}

/// Writes and prints how a job ended, to a reader who is in `folder`.
pub(crate) fn conclude(
    job: JobId,
    ending: Ending,
    folder: &Path,
    summary_file: Option<&Path>,
    wall: Duration,
) -> anyhow::Result<ExitCode> {
    let sentence = ending.reason.lines().next().unwrap_or_default().to_owned();
    let summary = summary::summarise(Some(job), ending.outcome, sentence, &ending.view, wall);
    let written = summary_file.map_or(Ok(()), |file| result_file::write(file, &summary));
    answer(table(&closing_rows(&summary, folder)));
    if let Some(warning) = skipped_warning(&summary) {
        notice(format_args!("warning: {warning}"));
    }
    if ending.outcome == Outcome::Failed {
        notice(format_args!("error: {}", ending.reason));
    }
    written?;
    Ok(ExitCode::from(exit_code(&ending)))
}

/// Writes the outcome of a run that was refused before it had a job. The error itself is passed on by the caller.
pub(crate) fn refuse(error: &anyhow::Error, summary_file: Option<&Path>, wall: Duration) {
    write_failure(None, error, summary_file, wall);
}

fn write_failure(
    job: Option<JobId>,
    error: &anyhow::Error,
    summary_file: Option<&Path>,
    wall: Duration,
) {
    let Some(file) = summary_file else {
        return;
    };
    let nothing = v1::JobView::default();
    let sentence = failure::sentence(error);
    let summary = summary::summarise(job, Outcome::Failed, sentence, &nothing, wall);
    if let Err(error) = result_file::write(file, &summary) {
        notice(format_args!("error: {}", failure::text(&error)));
    }
}

/// What a reader must know of a job that may have learnt nothing: it ends well all the same.
fn skipped_warning(summary: &RunSummary) -> Option<String> {
    let SkippedSteps { count, .. } = summary.skipped_steps;
    (count > 0).then(|| {
        format!(
            "{} of {} changed no weights, as gradients were not finite: the training may diverge; a lower \
             optimizer.learning_rate, a higher schedule.warmup_epochs or a set optimizer.clip_norm helps then",
            grouped(count),
            words::count(summary.steps, "step"),
        )
    })
}

fn exit_code(ending: &Ending) -> u8 {
    match (ending.outcome, ending.interrupt) {
        (Outcome::Finished, _) => 0,
        (Outcome::Failed, None) => failure::FAILED,
        (Outcome::Cancelled | Outcome::Failed, Some(interrupt)) => interrupt.exit_code(),
        (Outcome::Cancelled, None) => failure::FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::interrupt::Interrupt;

    fn ending(outcome: Outcome, interrupt: Option<Interrupt>) -> Ending {
        Ending {
            view: v1::JobView::default(),
            outcome,
            reason: String::new(),
            interrupt,
        }
    }

    #[test]
    fn steps_that_were_skipped_are_a_warning() {
        let view = v1::JobView {
            progress: Some(v1::Progress {
                position: Some(v1::Position {
                    step: 2_000,
                    ..Default::default()
                }),
                skipped: 1_900,
                skipped_steps: (100..200).collect(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let summary = |view| {
            let reason = String::new();
            summary::summarise(None, Outcome::Finished, reason, view, Duration::ZERO)
        };
        let warning = skipped_warning(&summary(&view)).unwrap();
        assert!(
            warning.starts_with("1,900 of 2,000 steps changed no weights"),
            "{warning}"
        );
        assert!(
            warning.contains("may diverge"),
            "one step among many shows no more: {warning}"
        );
        assert_eq!(skipped_warning(&summary(&v1::JobView::default())), None);
    }

    #[test]
    fn only_a_finished_job_has_exit_code_0() {
        let code = |outcome, interrupt| exit_code(&ending(outcome, interrupt));
        assert_eq!(code(Outcome::Finished, None), 0);
        assert_eq!(
            code(Outcome::Finished, Some(Interrupt::Keyboard)),
            0,
            "it came too late"
        );
        assert_eq!(code(Outcome::Failed, None), 1);
        assert_eq!(code(Outcome::Cancelled, Some(Interrupt::Keyboard)), 130);
        assert_eq!(code(Outcome::Failed, Some(Interrupt::Terminate)), 143);
        assert_eq!(code(Outcome::Cancelled, None), 1);
    }
}
