//! Slices of checkpoints that are not complete yet, as the leader hears of them. A new leader has none: the checkpoint
//! in flight is then not committed, and the next one is.

use std::collections::BTreeMap;

use convoy_common::ids::{Rank, WorkerRef};

use crate::command::Command;
use crate::limits::MAX_CHECKPOINTS_IN_FLIGHT;
use crate::records::{CheckpointKey, SliceReport};

/// Slices of one job by checkpoint and rank.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SliceCollector {
    in_flight: BTreeMap<CheckpointKey, BTreeMap<Rank, SliceReport>>,
}

impl SliceCollector {
    /// Takes one slice that `worker` wrote; with the last of `members` slices, the command that commits the checkpoint.
    ///
    /// When more than [`MAX_CHECKPOINTS_IN_FLIGHT`] are incomplete, the oldest is given up.
    pub fn written(
        &mut self,
        worker: &WorkerRef,
        key: CheckpointKey,
        report: SliceReport,
        members: usize,
    ) -> Option<Command> {
        let slices = self.in_flight.entry(key.clone()).or_default();
        slices.insert(report.slice.rank, report);
        if slices.len() >= members {
            let slices = self.in_flight.remove(&key)?.into_values().collect();
            return Some(Command::CommitCheckpoint {
                worker: worker.clone(),
                key,
                slices,
            });
        }
        while self.in_flight.len() > MAX_CHECKPOINTS_IN_FLIGHT {
            self.in_flight.pop_first();
        }
        None
    }

    /// The checkpoints that wait for slices, with how many have come.
    pub fn incomplete(&self) -> impl Iterator<Item = (&CheckpointKey, usize)> {
        self.in_flight
            .iter()
            .map(|(key, slices)| (key, slices.len()))
    }
}
