//! How a command that could not do its work says so.

use std::error::Error;
use std::process::ExitCode;

use convoy_common::partition::PlanError;
use convoy_common::spec::{SpecErrors, WorkersRefused};
use convoy_output::notice;

/// What was typed or written in the spec is wrong.
pub(crate) const USAGE: u8 = 2;

/// Everything else.
pub(crate) const FAILED: u8 = 1;

/// Prints the error and gives the exit code that goes with it.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    notice(format_args!("error: {}", text(error)));
    ExitCode::from(exit_code(error))
}

/// The error and the chain of its causes, each on a line of its own. Most of our errors repeat their cause's text, so that a
/// cause is left out when the line before it says it already.
pub(crate) fn text(error: &anyhow::Error) -> String {
    let mut lines: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if lines.last().is_none_or(|last| !last.contains(&text)) {
            lines.push(text);
        }
    }
    lines.join("\n  because: ")
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if error.chain().any(is_usage) {
        USAGE
    } else {
        FAILED
    }
}

fn is_usage(cause: &(dyn Error + 'static)) -> bool {
    cause.is::<SpecErrors>() || cause.is::<WorkersRefused>() || cause.is::<PlanError>()
}

#[cfg(test)]
mod tests {
    use anyhow::Context;
    use convoy_common::partition::EpochPlan;

    use super::*;

    #[test]
    fn causes_stand_below_and_none_is_said_twice() {
        let inner = std::io::Error::other("the disk is on fire");
        let error = anyhow::Error::new(inner)
            .context("cannot write /x: the disk is on fire")
            .context("the checkpoint failed");
        assert_eq!(
            text(&error),
            "the checkpoint failed\n  because: cannot write /x: the disk is on fire"
        );
    }

    #[test]
    fn wrong_spec_and_other_trouble_have_different_codes() {
        let wrong = EpochPlan::new(10, 4, 4)
            .context("cannot cut the epochs")
            .unwrap_err();
        assert_eq!(exit_code(&wrong), USAGE);
        assert_eq!(exit_code(&anyhow::anyhow!("no room")), FAILED);
    }
}
