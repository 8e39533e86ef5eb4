//! How a command that could not do its work says so.

use std::error::Error;
use std::process::ExitCode;

use convoy_client::InvalidEndpoints;
use convoy_common::partition::PlanError;
use convoy_common::spec::{SpecErrors, SpecTooLong, WorkersRefused};
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
    causes(error).join("\n  because: ")
}

/// The same in one line: of each cause its first.
pub(crate) fn sentence(error: &anyhow::Error) -> String {
    let causes = causes(error);
    let firsts: Vec<&str> = causes
        .iter()
        .filter_map(|cause| cause.lines().next())
        .collect();
    firsts.join(": ")
}

fn causes(error: &anyhow::Error) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if causes.last().is_none_or(|last| !last.contains(&text)) {
            causes.push(text);
        }
    }
    causes
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if error.chain().any(is_usage) {
        USAGE
    } else {
        FAILED
    }
}

fn is_usage(cause: &(dyn Error + 'static)) -> bool {
    cause.is::<SpecErrors>()
        || cause.is::<WorkersRefused>()
        || cause.is::<SpecTooLong>()
        || cause.is::<PlanError>()
        || cause.is::<InvalidEndpoints>()
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
        assert_eq!(
            sentence(&error.context("no\nexcerpt")),
            "no: the checkpoint failed: cannot write /x: the disk is on fire"
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
