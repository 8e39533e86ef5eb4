//! Writes the own slice of each checkpoint on a thread of its own, while training goes on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use convoy_checkpoint::{
    CheckpointError, SliceIdentity, SliceRecord, assign_to_ranks, checkpoint_folder, write_slice,
};
use convoy_common::ids::{Attempt, EpochIndex, JobId, Position, Rank};
use convoy_training::{HostTensor, Snapshot};

use super::load::Loaded;
use super::teller::Events;
use super::{Event, WrittenSlice};

/// A checkpoint could not be begun, or its thread broke. A slice that can't be written is an [`Event::Failed`].
#[derive(Debug, thiserror::Error)]
pub(super) enum SavingError {
    #[error("could not start the thread that writes checkpoints: {0}")]
    NoThread(#[from] std::io::Error),
    #[error("the thread that writes checkpoints panicked")]
    Panicked,
}

/// The checkpoints of a job, of which at most one is being written.
pub(super) struct Saving {
    root: PathBuf,
    job: JobId,
    attempt: Attempt,
    world: u32,
    in_flight: Option<JoinHandle<()>>,
}

impl Saving {
    pub(super) fn new(loaded: &Loaded) -> Self {
        let root = loaded.spec.checkpoints.folder.clone();
        Self {
            root,
            job: loaded.me.job.clone(),
            attempt: Attempt::default(),
            world: 1,
            in_flight: None,
        }
    }

    /// From now on slices belong to this group.
    pub(super) fn enter(&mut self, attempt: Attempt, world: u32) {
        self.attempt = attempt;
        self.world = world;
    }

    /// Starts writing `state`, after the one before is durable.
    pub(super) fn save(
        &mut self,
        position: Position,
        epochs: EpochIndex,
        is_final: bool,
        rank: Rank,
        state: Snapshot,
        events: Events,
    ) -> Result<(), SavingError> {
        self.finish()?;
        let identity = SliceIdentity {
            job: self.job.clone(),
            step: position.step,
            epoch: epochs,
            generation: position.generation,
            attempt: self.attempt,
            rank,
            world: self.world,
        };
        let folder = checkpoint_folder(&self.root, &self.job, position.step);
        let write = move || {
            let SliceIdentity {
                generation,
                attempt,
                step,
                epoch: epochs,
                rank,
                ..
            } = identity;
            let event = match write(&folder, &identity, &state) {
                Ok(slice) => {
                    let weights_sha256 = state.weights_sha256();
                    Event::SliceWritten(WrittenSlice {
                        generation,
                        attempt,
                        step,
                        epochs,
                        slice,
                        weights_sha256,
                        folder,
                        is_final,
                    })
                }
                Err(error) => {
                    let reason = format!(
                        "rank {rank} could not write its slice of the checkpoint of step {step}: {error}"
                    );
                    Event::Failed { reason }
                }
            };
            // While this waits, so does the next checkpoint, and training with it.
            events.tell(event);
        };
        self.in_flight = Some(
            std::thread::Builder::new()
                .name("checkpoint".to_owned())
                .spawn(write)?,
        );
        Ok(())
    }

    /// Waits for the checkpoint in flight; whether it was written is told in an event.
    pub(super) fn finish(&mut self) -> Result<(), SavingError> {
        self.in_flight.take().map_or(Ok(()), |thread| {
            thread.join().map_err(|_| SavingError::Panicked)
        })
    }
}

fn write(
    folder: &Path,
    identity: &SliceIdentity,
    state: &Snapshot,
) -> Result<SliceRecord, CheckpointError> {
    let sizes: Vec<usize> = state
        .tensors
        .iter()
        .map(|tensor| tensor.bytes.len())
        .collect();
    let owners = assign_to_ranks(&sizes, identity.world);
    let own: Vec<_> = state
        .tensors
        .iter()
        .zip(owners)
        .filter(|(_, owner)| *owner == identity.rank)
        .map(|(tensor, _)| HostTensor::view(tensor))
        .collect();
    write_slice(folder, identity, &own, &BTreeMap::new())
}
