//! What a worker has told the coordinator, and tells it again when a session was lost.
//!
//! A report that was sent into a dying session may not have arrived, and nobody says so. So the newest of those that the
//! coordinator needs are said again in the next session; it takes each once. Not kept are answers to a directive, which a
//! new session begins anew, and what a later report makes up for.

use std::collections::VecDeque;

use convoy_proto::v1::worker_report::Report;

/// More than a worker says between two signs of life of a session, and fewer than the checkpoints that the coordinator
/// remembers, so that it still knows each.
const MAX_KEPT: usize = 16;

/// The newest reports that must not be lost, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Said {
    kept: VecDeque<Report>,
}

impl Said {
    /// This is being said.
    pub(crate) fn note(&mut self, report: &Report) {
        if !must_arrive(report) {
            return;
        }
        if self.kept.len() == MAX_KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(report.clone());
    }

    /// What to say again.
    pub(crate) fn again(&self) -> Vec<Report> {
        self.kept.iter().cloned().collect()
    }
}

fn must_arrive(report: &Report) -> bool {
    match report {
        Report::Broken(_)
        | Report::Evaluated(_)
        | Report::SliceWritten(_)
        | Report::ManifestWritten(_)
        | Report::Trained(_) => true,
        Report::Hello(_)
        | Report::Heartbeat(_)
        | Report::Stopped(_)
        | Report::Ready(_)
        | Report::Progress(_)
        | Report::Failed(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use convoy_proto::v1;

    use super::*;

    fn written(step: u64) -> Report {
        Report::ManifestWritten(v1::ManifestWritten {
            generation: 1,
            step,
        })
    }

    #[test]
    fn newest_reports_of_work_are_said_again_and_answers_are_not() {
        let mut said = Said::default();
        said.note(&Report::Ready(v1::Ready::default()));
        said.note(&Report::Progress(v1::Progress::default()));
        for step in 0..20 {
            said.note(&written(step));
        }
        let expected: Vec<_> = (4..20).map(written).collect();
        assert_eq!(said.again(), expected);
        assert_eq!(said.again(), expected, "each time anew");
    }
}
