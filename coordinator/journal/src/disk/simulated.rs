//! A disk in memory that loses, tears and damages what real disks do, by a seed.

use std::io;

use super::{Disk, DiskFile};

/// A disk in memory. Clones are the same disk.
#[derive(Clone)]
pub struct SimulatedDisk {}

impl SimulatedDisk {
    /// An empty disk; `seed` decides what a crash leaves.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let _ = seed;
        Self {}
    }

    /// What survives when the machine stops now: everything synced, and of the rest any part, torn at any byte. Every handle
    /// of this disk fails from now on.
    #[must_use]
    pub fn crash(&self) -> Self {
        todo!()
    }

    /// After `changes` more operations that change the disk (write, sync, create, rename, ...) everything fails, as if the
    /// machine had stopped; [`crash`](Self::crash) then gives what survives. None: never.
    pub fn crash_after(&self, changes: Option<u64>) {
        let _ = changes;
    }

    /// Whether the machine stopped.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        todo!()
    }

    /// The sync after `syncs` more fails, and what it should have made durable never will be. None: never.
    pub fn fail_sync_after(&self, syncs: Option<u64>) {
        let _ = syncs;
    }

    /// The disk's size; None: endless.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        let _ = bytes;
    }

    /// What each operation takes, added up in [`busy_us`](Self::busy_us); nothing waits.
    pub fn set_latency(&self, write_us: u64, sync_us: u64) {
        let _ = (write_us, sync_us);
    }

    /// Time that operations took so far, microseconds.
    #[must_use]
    pub fn busy_us(&self) -> u64 {
        todo!()
    }

    /// Flips one bit of what is durable and of what is seen. Nothing happens where there is no such file or bit.
    pub fn flip_bit(&self, name: &str, bit: u64) {
        let _ = (name, bit);
    }

    /// Flips a random bit of a random file: its name and the bit's position.
    pub fn rot(&self) -> Option<(String, u64)> {
        todo!()
    }

    /// All bytes of a file.
    #[must_use]
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let _ = name;
        todo!()
    }

    /// Puts a file there from outside, durably.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let _ = (name, bytes);
    }
}

impl Disk for SimulatedDisk {
    type File = SimulatedFile;
    fn list(&self) -> io::Result<Vec<String>> {
        todo!()
    }
    fn open(&self, _name: &str) -> io::Result<SimulatedFile> {
        todo!()
    }
    fn create(&self, _name: &str, _zeroed_bytes: u64) -> io::Result<SimulatedFile> {
        todo!()
    }
    fn rename(&self, _from: &str, _to: &str) -> io::Result<()> {
        todo!()
    }
    fn remove(&self, _name: &str) -> io::Result<()> {
        todo!()
    }
    fn sync_folder(&self) -> io::Result<()> {
        todo!()
    }
    fn free_bytes(&self) -> io::Result<u64> {
        todo!()
    }
}

/// An open file of a [`SimulatedDisk`].
pub struct SimulatedFile {}

impl DiskFile for SimulatedFile {
    fn read_at(&self, _offset: u64, _buffer: &mut [u8]) -> io::Result<usize> {
        todo!()
    }
    fn write_at(&mut self, _offset: u64, _bytes: &[u8]) -> io::Result<()> {
        todo!()
    }
    fn len(&self) -> io::Result<u64> {
        todo!()
    }
    fn set_len(&mut self, _bytes: u64) -> io::Result<()> {
        todo!()
    }
    fn sync(&mut self) -> io::Result<()> {
        todo!()
    }
}
