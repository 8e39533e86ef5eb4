//! When a plain progress line is due.

use std::time::Duration;

/// Often enough to see that it moves, seldom enough that the log of a night can be read.
const PERIOD: Duration = Duration::from_secs(10);

/// Decides for each view whether its progress is worth a line.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    last: Option<(Duration, u32)>,
}

impl Pace {
    /// Whether a line is due `now` (since the start of the run), with so many epochs complete: the first time, when an
    /// epoch is complete, and when the last line is 10 s old.
    pub(crate) fn is_due(&mut self, now: Duration, completed_epochs: u32) -> bool {
        let due = match self.last {
            None => true,
            Some((at, epochs)) => epochs != completed_epochs || now.saturating_sub(at) >= PERIOD,
        };
        if due {
            self.last = Some((now, completed_epochs));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_comes_every_ten_seconds_and_with_each_epoch() {
        let mut pace = Pace::default();
        let views = [(0, 0), (4, 0), (10, 0), (12, 1), (15, 1), (22, 1)];
        let due = views.map(|(seconds, epochs)| pace.is_due(Duration::from_secs(seconds), epochs));
        assert_eq!(due, [true, false, true, true, false, true]);
    }
}
