//! The end of a replica that can't go on.

use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

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
    /// Tells whoever listens; where nobody does, the process ends.
    pub(crate) fn of(listener: Option<mpsc::UnboundedSender<String>>) -> Self {
        listener.map_or(Self::Abort, Self::Tell)
    }

    /// Spawns a part without which a coordinator is none. It must not panic, and one that does takes the others with it: what
    /// is left would look alive to its peers.
    pub(crate) fn supervise(
        &self,
        part: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let failure = self.clone();
        tokio::spawn(async move {
            if AssertUnwindSafe(work).catch_unwind().await.is_err() {
                failure.end(&format!("its {part} panicked, which is an error in Convoy"));
            }
        })
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn part_that_panics_ends_its_coordinator_with_its_name() {
        let (told, mut heard) = mpsc::unbounded_channel();
        let failure = Failure::of(Some(told));
        let part = failure.supervise("leader loop", async { panic!("on purpose") });
        part.await.unwrap();
        let reason = heard.recv().await.unwrap();
        assert!(reason.contains("its leader loop panicked"), "{reason}");
    }
}
