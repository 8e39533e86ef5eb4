//! Writes records, and begins a new segment when one is full.

use super::Journal;
use super::active::Active;
use super::record::Record;
use super::segment::{self, Header, RESERVE, UNFINISHED};
use crate::disk::{Disk, DiskFile};
use crate::error::{self, JournalError};
use crate::types::Identity;

impl<D: Disk> Journal<D> {
    /// Writes `records` in as few writes as segments allow: one, where they fit into what is left or into a new segment.
    pub(super) fn write(&mut self, records: &[Record<'_>], sync: bool) -> Result<(), JournalError> {
        let total: usize = records.iter().map(Record::bytes).sum();
        let fits_anew = total as u64 <= segment::room(self.limits.segment_bytes);
        if self.restarts || (fits_anew && !self.active()?.fits(total)) {
            self.roll()?;
        }
        let mut rest = records;
        while !rest.is_empty() {
            let count = self.active()?.how_many_fit(rest);
            let (now, later) = rest.split_at(count);
            if now.is_empty() {
                self.roll()?;
            } else {
                self.write_here(now)?;
                rest = later;
            }
        }
        if sync {
            self.sync()?;
        }
        Ok(())
    }

    pub(super) fn active(&mut self) -> Result<&mut Active<D::File>, JournalError> {
        self.active.as_mut().ok_or_else(|| {
            JournalError::misuse(
                "the log",
                "it was not initialised, so nothing can be written",
            )
        })
    }

    /// One write into the active segment, where the records fit.
    fn write_here(&mut self, records: &[Record<'_>]) -> Result<(), JournalError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let active = self.active()?;
        let chain = active.encode(records, &mut buffer);
        let (offset, bytes) = (active.offset() as u64, buffer.len());
        let written = active.file.write_at(offset, &buffer);
        self.buffer = buffer;
        if let Err(source) = written {
            // Whatever part of it was written: the next write begins at the same place, and no record of this one can
            // follow on a record of that one.
            let name = self.active()?.name.clone();
            return Err(self.failed("write", &name, bytes as u64, source));
        }
        let active = self.active()?;
        active.written(bytes, chain);
        let used = active.offset() as u64;
        let is_half_full = active.is_half_full();
        self.state.segments.set_used_bytes(used);
        for record in records {
            if let Err(reason) = self.state.apply(record) {
                return Err(self.poisoned(JournalError::misuse("the log", reason)));
            }
        }
        if is_half_full && !self.is_next_prepared {
            self.is_next_prepared = true;
            self.disk.prepare(self.limits.segment_bytes);
        }
        Ok(())
    }

    /// Makes everything written durable.
    pub(super) fn sync(&mut self) -> Result<(), JournalError> {
        let active = self.active()?;
        if active.is_synced() {
            return Ok(());
        }
        if let Err(source) = active.file.sync() {
            let name = active.name.clone();
            return Err(self.poisoned(JournalError::fatal("sync", &name, source)));
        }
        active.synced();
        Ok(())
    }

    /// Ends the active segment and begins the next. The next is durable before the seal is: a log whose last segment is
    /// sealed has lost one. No record is written into the next before the seal is durable: one after a segment without a
    /// seal is blank.
    fn roll(&mut self) -> Result<(), JournalError> {
        let Some(identity) = self.state.identity else {
            return Err(JournalError::misuse("the log", "it was not initialised"));
        };
        let active = self.active()?;
        let sequence = active.sequence + 1;
        let mut seal = Vec::new();
        let chain = active.encode(&[Record::Seal { next: sequence }], &mut seal);
        let next = self.create_segment(sequence, chain, identity)?;
        let active = self.active()?;
        if let Err(source) = active.file.write_at(active.offset() as u64, &seal) {
            let name = active.name.clone();
            return Err(self.failed("write", &name, seal.len() as u64, source));
        }
        active.written(seal.len(), chain);
        let used = active.offset() as u64;
        self.state.segments.set_used_bytes(used);
        self.sync()?;
        self.begin(next);
        if self.restarts {
            self.restarts = false;
            self.remove_dead()?;
        }
        Ok(())
    }

    /// Goes on with a segment that [`create_segment`](Self::create_segment) made.
    pub(super) fn begin(&mut self, (header, active): (Header, Active<D::File>)) {
        self.state.begin(&header, active.offset());
        self.active = Some(active);
        self.is_next_prepared = false;
    }

    /// A segment under its name, its header durable; from the reserve where the disk is full.
    pub(super) fn create_segment(
        &mut self,
        sequence: u64,
        chain: u32,
        identity: Identity,
    ) -> Result<(Header, Active<D::File>), JournalError> {
        let name = segment::name(sequence);
        let bytes = self.limits.segment_bytes;
        let (mut file, temporary) = match create_anew(&*self.disk, UNFINISHED, bytes) {
            Err(source) if error::is_full(&source) && self.reserve_bytes > 0 => {
                let file = self.disk.open(RESERVE);
                let file = file.map_err(|source| self.failed("open", RESERVE, 0, source))?;
                (file, RESERVE)
            }
            created => {
                let file = created.map_err(|source| self.failed("create", &name, bytes, source))?;
                (file, UNFINISHED)
            }
        };
        let length = file.len();
        let header = Header {
            sequence,
            length_bytes: length.map_err(|source| self.failed("read", &name, 0, source))?,
            identity,
            hard_state: self.state.hard_state,
            start: self.state.shape.start(),
            last: self.state.shape.last(),
            chain,
            restarts: self.restarts,
        };
        let (encoded, seed) = header.encode();
        file.write_at(0, &encoded)
            .map_err(|source| self.failed("write", &name, encoded.len() as u64, source))?;
        let placed = file
            .sync()
            .and_then(|()| self.disk.rename(temporary, &name))
            .and_then(|()| self.disk.sync_folder());
        if let Err(source) = placed {
            return Err(self.poisoned(JournalError::fatal("create", &name, source)));
        }
        if temporary == RESERVE {
            self.reserve_bytes = 0;
        }
        let active = Active::new(&header, seed, file);
        Ok((header, active))
    }

    /// The error for an operation that failed before anything that was durable could be touched. A full disk leaves the log
    /// as it was; after anything else nothing is known.
    pub(super) fn failed(
        &mut self,
        operation: &'static str,
        file: &str,
        needed_bytes: u64,
        source: std::io::Error,
    ) -> JournalError {
        if error::is_full(&source) {
            return JournalError::Full {
                file: file.to_owned(),
                needed_bytes,
                free_bytes: self.disk.free_bytes().unwrap_or(0),
            };
        }
        self.poisoned(JournalError::fatal(operation, file, source))
    }

    /// Remembers that nothing can be promised any more.
    pub(super) fn poisoned(&mut self, error: JournalError) -> JournalError {
        self.poison = Some(error.to_string());
        error
    }
}

/// Creates a file, in the place of one that an earlier attempt left.
pub(super) fn create_anew<D: Disk>(disk: &D, name: &str, bytes: u64) -> std::io::Result<D::File> {
    match disk.create(name, bytes) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            disk.remove(name)?;
            disk.create(name, bytes)
        }
        created => created,
    }
}
