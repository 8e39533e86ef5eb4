//! Where the time of a step goes.

use std::ops::AddAssign;
use std::time::{Duration, Instant};

/// Wall time of one step by part; together all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepTimes {
    /// Waiting for batches that were not ready.
    pub data: Duration,
    /// Clearing gradients, putting buffers back, copying images in, the network and the loss.
    pub forward: Duration,
    /// Backward, with the reductions that go on meanwhile; adding up the buffers of the shards, and counting right answers.
    pub backward: Duration,
    /// Waiting for the reductions that backward did not hide.
    pub reduction: Duration,
    /// From reduced gradients to new parameters.
    pub update: Duration,
}

impl AddAssign for StepTimes {
    fn add_assign(&mut self, other: Self) {
        self.data += other.data;
        self.forward += other.forward;
        self.backward += other.backward;
        self.reduction += other.reduction;
        self.update += other.update;
    }
}

/// Gives each moment of a step to one part of it.
pub(crate) struct Stopwatch {
    times: StepTimes,
    since: Instant,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self {
            times: StepTimes::default(),
            since: Instant::now(),
        }
    }

    /// What passed since the last call belongs to the part that `part` names.
    pub(crate) fn lap(&mut self, part: impl FnOnce(&mut StepTimes) -> &mut Duration) {
        let now = Instant::now();
        *part(&mut self.times) += now - self.since;
        self.since = now;
    }

    pub(crate) fn times(&self) -> StepTimes {
        self.times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_belongs_to_one_part() {
        let began = Instant::now();
        let mut watch = Stopwatch {
            times: StepTimes::default(),
            since: began,
        };
        watch.lap(|times| &mut times.data);
        watch.lap(|times| &mut times.forward);
        watch.lap(|times| &mut times.data);
        let StepTimes { data, forward, .. } = watch.times();
        assert_eq!(data + forward, watch.since - began);
    }
}
