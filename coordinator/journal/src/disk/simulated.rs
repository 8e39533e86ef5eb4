//! A disk in memory that loses, tears and damages what real disks do, by a seed.

mod state;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, DiskFile};
use state::State;

/// A disk in memory. Clones are the same disk.
///
/// Writes and names are seen at once and durable after a sync only; [`crash`](Self::crash) keeps any part of the rest. A
/// file's bytes and the folder's names are independent of each other, as POSIX has it.
#[derive(Clone)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

impl SimulatedDisk {
    /// An empty disk; `seed` decides what a crash leaves and where [`rot`](Self::rot) strikes.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            state: Arc::new(Mutex::new(State::new(seed))),
        }
    }

    /// What survives when the machine stops now: everything synced, and of the rest any part, torn at any byte. Every handle
    /// of this disk fails from now on. The new disk has its size and latency, and none of its other faults.
    #[must_use]
    pub fn crash(&self) -> Self {
        Self {
            state: Arc::new(Mutex::new(self.lock().crash())),
        }
    }

    /// After `changes` more operations that change the disk (write, sync, create, rename, ...) everything fails, as if the
    /// machine had stopped; [`crash`](Self::crash) then gives what survives. None: never.
    pub fn crash_after(&self, changes: Option<u64>) {
        self.lock().faults.crash_after = changes;
    }

    /// Whether the machine stopped.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.lock().faults.has_stopped
    }

    /// The sync after `syncs` more fails, and what it should have made durable never will be for sure, whatever later syncs
    /// report. None: never.
    pub fn fail_sync_after(&self, syncs: Option<u64>) {
        self.lock().faults.fail_sync_after = syncs;
    }

    /// The write after `writes` more fails with an I/O error; any part of it may have been written. None: never.
    pub fn fail_write_after(&self, writes: Option<u64>) {
        self.lock().faults.fail_write_after = writes;
    }

    /// The disk's size; None: endless. What is there already stays, also beyond it.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity = bytes;
    }

    /// What each operation takes, added up in [`busy_us`](Self::busy_us); nothing waits.
    pub fn set_latency(&self, write_us: u64, sync_us: u64) {
        let faults = &mut self.lock().faults;
        faults.write_us = write_us;
        faults.sync_us = sync_us;
    }

    /// Time that operations took so far, microseconds.
    #[must_use]
    pub fn busy_us(&self) -> u64 {
        self.lock().faults.busy_us
    }

    /// How many operations changed the disk so far.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.lock().faults.changes
    }

    /// How many syncs of files and of the folder were asked for so far.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.lock().faults.syncs
    }

    /// Flips one bit of a file, counted from its first byte's lowest. Nothing happens where there is no such file or bit.
    pub fn flip_bit(&self, name: &str, bit: u64) {
        self.lock().flip_bit(name, bit);
    }

    /// Flips a random bit of a random file: its name and the bit's position; None where all files are empty.
    pub fn rot(&self) -> Option<(String, u64)> {
        self.lock().rot()
    }

    /// All bytes of a file as they are seen now.
    #[must_use]
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        self.lock().contents(name)
    }

    /// Puts a file there from outside, or in the place of one, durably.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        self.lock().put(name, bytes);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, inode: u64) -> SimulatedFile {
        SimulatedFile {
            disk: self.clone(),
            inode,
        }
    }
}

impl Disk for SimulatedDisk {
    type File = SimulatedFile;

    fn list(&self) -> io::Result<Vec<String>> {
        self.lock().list()
    }

    fn open(&self, name: &str) -> io::Result<SimulatedFile> {
        let inode = self.lock().open(name)?;
        Ok(self.handle(inode))
    }

    fn create(&self, name: &str, zeroed_bytes: u64) -> io::Result<SimulatedFile> {
        let inode = self.lock().create(name, zeroed_bytes)?;
        Ok(self.handle(inode))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.lock().rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.lock().remove(name)
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.lock().sync_folder()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.lock().free_bytes()
    }
}

/// An open file of a [`SimulatedDisk`]; it stays readable when its name is gone.
pub struct SimulatedFile {
    disk: SimulatedDisk,
    inode: u64,
}

impl DiskFile for SimulatedFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.disk.lock().read_at(self.inode, offset, buffer)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.lock().write_at(self.inode, offset, bytes)
    }

    fn len(&self) -> io::Result<u64> {
        self.disk.lock().len(self.inode)
    }

    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        self.disk.lock().set_len(self.inode, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.lock().sync(self.inode)
    }
}

impl Drop for SimulatedFile {
    fn drop(&mut self) {
        self.disk.lock().closed(self.inode);
    }
}

#[cfg(test)]
mod tests;
