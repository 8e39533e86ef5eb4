//! The segment that is kept for when the disk is full.

use std::io;

use super::Journal;
use super::segment::{RESERVE, UNFINISHED_RESERVE};
use super::write::create_anew;
use crate::disk::{Disk, DiskFile};
use crate::error::{self, JournalError};
use crate::limits::Room;

impl<D: Disk> Journal<D> {
    pub(super) fn measure_room(&mut self) -> io::Result<Room> {
        let limits = self.limits;
        let needed = limits
            .refuse_below_bytes
            .saturating_add(limits.reserve_bytes);
        let is_short = self.reserve_bytes < limits.reserve_bytes;
        if is_short && self.state.identity.is_some() && self.disk.free_bytes()? >= needed {
            self.fill_reserve()?;
        }
        Ok(Room {
            free_bytes: self.disk.free_bytes()?,
            refuse_below_bytes: limits.refuse_below_bytes,
            reserve_bytes: self.reserve_bytes,
            reserve_wanted_bytes: limits.reserve_bytes,
        })
    }

    /// Makes the reserve anew. That another process was faster to take the room is no error.
    fn fill_reserve(&mut self) -> io::Result<()> {
        let bytes = self.limits.reserve_bytes;
        let made = create_anew(&*self.disk, UNFINISHED_RESERVE, bytes)
            .and_then(|mut file| file.sync())
            .and_then(|()| self.disk.rename(UNFINISHED_RESERVE, RESERVE))
            .and_then(|()| self.disk.sync_folder());
        match made {
            Ok(()) => self.reserve_bytes = bytes,
            Err(error) if error::is_full(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The reserve of an earlier start, if it has the length that is wanted now.
    pub(super) fn find_reserve(&mut self) -> Result<(), JournalError> {
        let failed = |source| JournalError::io("read", RESERVE, source);
        let file = match self.disk.open(RESERVE) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        let bytes = file.len().map_err(failed)?;
        if bytes == self.limits.reserve_bytes {
            self.reserve_bytes = bytes;
            return Ok(());
        }
        drop(file);
        self.disk
            .remove(RESERVE)
            .map_err(|source| JournalError::io("remove", RESERVE, source))
    }
}
