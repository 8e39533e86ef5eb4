//! The last words of a run: summary file, table, reason, exit code.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use convoy_common::summary::Outcome;
use convoy_output::{answer, notice};
use convoy_proto::v1;

use super::follow::Ending;
use super::preflight::Checked;
use crate::display::{closing_rows, table};
use crate::failure;
use crate::summary;

/// Writes and prints the outcome; an error that came before the job could start is passed on after that.
pub(crate) fn close(
    checked: &Checked,
    ending: anyhow::Result<Ending>,
    summary_file: Option<&Path>,
    wall: Duration,
) -> anyhow::Result<ExitCode> {
    let (ending, error) = match ending {
        Ok(ending) => (ending, None),
        Err(error) => (not_started(&error), Some(error)),
    };
    let sentence = ending.reason.lines().next().unwrap_or_default().to_owned();
    let summary = summary::summarise(
        checked.job().clone(),
        ending.outcome,
        sentence,
        &ending.view,
        wall,
    );
    let written = summary_file.map_or(Ok(()), |file| summary::write(file, &summary));
    if let Some(error) = error {
        return Err(error);
    }
    answer(table(&closing_rows(&summary, &checked.folder)));
    if ending.outcome == Outcome::Failed {
        notice(format_args!("error: {}", ending.reason));
    }
    written?;
    Ok(ExitCode::from(exit_code(&ending)))
}

fn not_started(error: &anyhow::Error) -> Ending {
    Ending {
        view: v1::JobView::default(),
        outcome: Outcome::Failed,
        reason: failure::text(error),
        interrupt: None,
    }
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
