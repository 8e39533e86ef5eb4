//! One step of a replica in two halves: before the disk, and after.

use convoy_journal::Disk;
use raft::Ready;

use super::Replica;
use super::advance::Send;
use crate::error::Fatal;
use crate::output::Output;

/// A step that was begun. Dropped instead of completed, it ends its replica, which would have forgotten what it is to write.
#[must_use]
pub struct Step<'a, D: Disk> {
    replica: &'a mut Replica<D>,
    /// None once it is completed.
    ready: Option<Ready>,
}

impl<'a, D: Disk> Step<'a, D> {
    pub(super) fn of(replica: &'a mut Replica<D>, ready: Ready) -> Self {
        Self {
            replica,
            ready: Some(ready),
        }
    }

    /// Whether completing it waits for the disk.
    #[must_use]
    pub fn waits_for_disk(&self) -> bool {
        self.ready.as_ref().is_some_and(Ready::must_sync)
    }

    /// Writes what has to be written, sends what promises something, hands out what is committed.
    ///
    /// # Errors
    /// As [`Replica::advance`].
    pub fn complete(mut self, send: &mut Send<'_>, out: &mut Output) -> Result<(), Fatal> {
        match self.ready.take() {
            Some(ready) => {
                let completed = self.replica.complete(ready, send, out);
                completed.map_err(|why| self.replica.stop(why))
            }
            None => Ok(()),
        }
    }
}

impl<D: Disk> Drop for Step<'_, D> {
    fn drop(&mut self) {
        if self.ready.is_some() {
            self.replica.has_stopped = true;
        }
    }
}
