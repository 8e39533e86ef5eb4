//! The end of a replica that can't go on.

use tokio::sync::mpsc;

/// What happens when this coordinator can't go on: its disk failed, its folder was replaced by an empty one, or the log holds
/// what this build does not know.
#[derive(Clone, Debug, Default)]
pub(crate) enum Failure {
    /// The process ends at once, without any of its destructors: nothing that it still holds may be written.
    #[default]
    Abort,
    /// Someone else is told, and the coordinator ends by itself.
    Tell(mpsc::UnboundedSender<String>),
}

impl Failure {
    /// Says why, in the log and on standard error.
    pub(crate) fn end(&self, reason: &str) {
        tracing::error!(reason, "this coordinator can't go on");
        match self {
            Self::Abort => {
                convoy_output::notice(format_args!("error: {reason}"));
                std::process::abort();
            }
            Self::Tell(told) => {
                // Nobody may listen any more.
                let _ = told.send(reason.to_owned());
            }
        }
    }
}
