//! When a plain status line is due.

use std::time::Duration;

use convoy_proto::v1::JobState;

/// Often enough to see that it moves, seldom enough that the log of a night can be read.
const PERIOD: Duration = Duration::from_secs(10);

/// Decides for each view whether its status is worth a line.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    last: Option<(Duration, Milestone)>,
}

/// What is told as soon as it changes: the state and how many epochs are complete.
pub(crate) type Milestone = (JobState, u32);

impl Pace {
    /// Whether a line is due `now` (since the start of the run): the first time, at a milestone, and when the last line
    /// is 10 s old.
    pub(crate) fn is_due(&mut self, now: Duration, milestone: Milestone) -> bool {
        let due = self
            .last
            .is_none_or(|(at, last)| last != milestone || now.saturating_sub(at) >= PERIOD);
        if due {
            self.last = Some((now, milestone));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_comes_every_ten_seconds_and_with_each_milestone() {
        let mut pace = Pace::default();
        let (forming, training) = (JobState::Forming, JobState::Training);
        let views = [
            (0, forming, 0),
            (1, forming, 0),
            (2, training, 0),
            (8, training, 0),
            (12, training, 0),
            (13, training, 1),
        ];
        let due = views.map(|(seconds, state, epochs)| {
            pace.is_due(Duration::from_secs(seconds), (state, epochs))
        });
        assert_eq!(due, [true, false, true, false, true, true]);
    }
}
