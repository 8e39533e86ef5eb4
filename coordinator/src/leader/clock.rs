//! The leader's sense of time.

use convoy_state_machine::time::Moment;

/// Time as the leader lives through it. While it did not run itself, because its process was stopped or its machine slept, it
/// could hear nobody, and holds that against nobody: the clock goes on by one bounded step, so that every deadline moves by
/// the rest.
#[derive(Debug)]
pub(super) struct PatientClock {
    /// What the clock outside said last.
    outside: Moment,
    now: Moment,
    longest_step_ms: u64,
}

impl PatientClock {
    /// For a leader that looks at the time every `tick_ms`; twice as long is late.
    pub(super) fn new(tick_ms: u64) -> Self {
        Self {
            outside: Moment::default(),
            now: Moment::default(),
            longest_step_ms: tick_ms.saturating_mul(2),
        }
    }

    /// What time it is for the leader when the clock outside says `outside`.
    pub(super) fn at(&mut self, outside: Moment) -> Moment {
        let step_ms = outside.ms_since(self.outside).min(self.longest_step_ms);
        self.outside = self.outside.max(outside);
        self.now = self.now.plus_ms(step_ms);
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_the_leader_slept_through_does_not_count() {
        let mut clock = PatientClock::new(100);
        let mut at = |ms| clock.at(Moment::from_ms(ms)).ms;
        assert_eq!(at(100), 100);
        assert_eq!(at(300), 300, "a tick that is a little late counts in full");
        assert_eq!(at(60_300), 500);
        assert_eq!(at(60_400), 600);
    }

    #[test]
    fn clock_never_goes_back() {
        let mut clock = PatientClock::new(100);
        let mut at = |ms| clock.at(Moment::from_ms(ms)).ms;
        assert_eq!([at(150), at(50), at(150), at(200)], [150, 150, 150, 200]);
    }
}
