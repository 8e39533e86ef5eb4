//! What is on the simulated disk, and what of it is durable.

mod faults;
mod inode;
mod survivors;

use std::collections::BTreeMap;
use std::io;

use rustix::io::Errno;

pub(super) use faults::Faults;
use inode::Inode;

/// The disk.
pub(super) struct State {
    random: u64,
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    unsynced_names: Vec<NameChange>,
    next_inode: u64,
    /// Order of all unsynced changes, of bytes and of names.
    next_change: u64,
    pub(super) capacity: Option<u64>,
    pub(super) faults: Faults,
}

/// One atomic change of names.
struct NameChange {
    order: u64,
    /// Each name, and what it stands for afterwards.
    sets: Vec<(String, Option<u64>)>,
    /// A sync that should have made it durable failed: none ever will.
    is_lost: bool,
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: seed,
            inodes: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            unsynced_names: Vec::new(),
            next_inode: 1,
            next_change: 0,
            capacity: None,
            faults: Faults::default(),
        }
    }

    /// The next random number (SplitMix64).
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A random number below `limit`, which is not 0.
    fn below(&mut self, limit: u64) -> u64 {
        self.draw() % limit
    }

    fn order(&mut self) -> u64 {
        self.next_change += 1;
        self.next_change
    }

    fn used_bytes(&self) -> u64 {
        self.inodes
            .values()
            .map(|inode| inode.bytes.len() as u64)
            .sum()
    }

    pub(super) fn free_bytes(&self) -> io::Result<u64> {
        self.faults.running()?;
        Ok(self.capacity.map_or(u64::MAX / 2, |capacity| {
            capacity.saturating_sub(self.used_bytes())
        }))
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        if bytes > 0 && bytes > self.free_bytes()? {
            return Err(Errno::NOSPC.into());
        }
        Ok(())
    }

    pub(super) fn list(&self) -> io::Result<Vec<String>> {
        self.faults.running()?;
        Ok(self.names.keys().cloned().collect())
    }

    fn find(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(missing)
    }

    fn inode(&mut self, inode: u64) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&inode).ok_or_else(missing)
    }

    pub(super) fn open(&mut self, name: &str) -> io::Result<u64> {
        self.faults.running()?;
        let inode = self.find(name)?;
        self.inode(inode)?.handles += 1;
        Ok(inode)
    }

    pub(super) fn create(&mut self, name: &str, zeroed_bytes: u64) -> io::Result<u64> {
        self.faults.running()?;
        if self.names.contains_key(name) {
            return Err(Errno::EXIST.into());
        }
        self.allocate(zeroed_bytes)?;
        let stops = self.faults.begin_change()?;
        let number = self.next_inode;
        self.next_inode += 1;
        let mut inode = Inode {
            handles: u32::from(!stops),
            ..Inode::default()
        };
        inode.resize(self.order(), usize_from(zeroed_bytes));
        self.inodes.insert(number, inode);
        self.set_names(vec![(name.to_owned(), Some(number))]);
        self.faults.end_change(stops)?;
        Ok(number)
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.faults.running()?;
        let inode = self.find(from)?;
        let stops = self.faults.begin_change()?;
        self.set_names(vec![(from.to_owned(), None), (to.to_owned(), Some(inode))]);
        self.faults.end_change(stops)
    }

    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        self.faults.running()?;
        self.find(name)?;
        let stops = self.faults.begin_change()?;
        self.set_names(vec![(name.to_owned(), None)]);
        self.faults.end_change(stops)
    }

    fn set_names(&mut self, sets: Vec<(String, Option<u64>)>) {
        for (name, inode) in &sets {
            set_name(&mut self.names, name, *inode);
        }
        let order = self.order();
        self.unsynced_names.push(NameChange {
            order,
            sets,
            is_lost: false,
        });
    }

    pub(super) fn sync_folder(&mut self) -> io::Result<()> {
        if self.faults.begin_change()? {
            return self.faults.end_change(true);
        }
        if self.faults.begin_sync() {
            for change in &mut self.unsynced_names {
                change.is_lost = true;
            }
            return Err(Errno::IO.into());
        }
        let changes = std::mem::take(&mut self.unsynced_names);
        for change in changes {
            if change.is_lost {
                self.unsynced_names.push(change);
                continue;
            }
            for (name, inode) in &change.sets {
                set_name(&mut self.durable_names, name, *inode);
            }
        }
        self.forget_nameless();
        Ok(())
    }

    /// Gives the room of files back that nobody can reach any more.
    fn forget_nameless(&mut self) {
        let pending = &self.unsynced_names;
        let (names, durable) = (&self.names, &self.durable_names);
        self.inodes.retain(|number, inode| {
            let named = |(_, of): &(&String, &u64)| *of == number;
            inode.handles > 0
                || names.iter().any(|entry| named(&entry))
                || durable.iter().any(|entry| named(&entry))
                || pending
                    .iter()
                    .flat_map(|change| &change.sets)
                    .any(|(_, of)| *of == Some(*number))
        });
    }

    pub(super) fn closed(&mut self, inode: u64) {
        if let Some(inode) = self.inodes.get_mut(&inode) {
            inode.handles = inode.handles.saturating_sub(1);
        }
    }

    pub(super) fn read_at(&self, inode: u64, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        self.faults.running()?;
        let bytes = &self.inodes.get(&inode).ok_or_else(missing)?.bytes;
        let rest = bytes.get(usize_from(offset)..).unwrap_or_default();
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    pub(super) fn write_at(&mut self, inode: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.faults.running()?;
        let length = self.inode(inode)?.bytes.len();
        let end = usize_from(offset) + bytes.len();
        self.allocate(end.saturating_sub(length) as u64)?;
        let stops = self.faults.begin_change()?;
        if end > length {
            let order = self.order();
            self.inode(inode)?.resize(order, end);
        }
        let order = self.order();
        self.inode(inode)?.write(order, usize_from(offset), bytes);
        if self.faults.write_fails() {
            return Err(Errno::IO.into());
        }
        self.faults.end_change(stops)
    }

    pub(super) fn len(&self, inode: u64) -> io::Result<u64> {
        self.faults.running()?;
        let inode = self.inodes.get(&inode).ok_or_else(missing)?;
        Ok(inode.bytes.len() as u64)
    }

    pub(super) fn set_len(&mut self, inode: u64, bytes: u64) -> io::Result<()> {
        self.faults.running()?;
        let length = self.inode(inode)?.bytes.len() as u64;
        self.allocate(bytes.saturating_sub(length))?;
        let stops = self.faults.begin_change()?;
        let order = self.order();
        self.inode(inode)?.resize(order, usize_from(bytes));
        self.faults.end_change(stops)
    }

    pub(super) fn sync(&mut self, inode: u64) -> io::Result<()> {
        if self.faults.begin_change()? {
            return self.faults.end_change(true);
        }
        let fails = self.faults.begin_sync();
        let unsynced = &mut self.inode(inode)?.unsynced;
        if fails {
            for change in unsynced {
                change.is_lost = true;
            }
            return Err(Errno::IO.into());
        }
        unsynced.retain(|change| change.is_lost);
        Ok(())
    }

    pub(super) fn flip_bit(&mut self, name: &str, bit: u64) {
        let Ok(inode) = self.find(name) else { return };
        let Some(inode) = self.inodes.get_mut(&inode) else {
            return;
        };
        if let Some(byte) = inode.bytes.get_mut(usize_from(bit / 8)) {
            *byte ^= 1 << (bit % 8);
        }
    }

    pub(super) fn rot(&mut self) -> Option<(String, u64)> {
        let files: Vec<(String, u64)> = self
            .names
            .iter()
            .filter_map(|(name, inode)| {
                let bits = self.inodes.get(inode)?.bytes.len() as u64 * 8;
                (bits > 0).then(|| (name.clone(), bits))
            })
            .collect();
        if files.is_empty() {
            return None;
        }
        let chosen = self.below(files.len() as u64);
        let (name, bits) = files[usize_from(chosen)].clone();
        let bit = self.below(bits);
        self.flip_bit(&name, bit);
        Some((name, bit))
    }

    pub(super) fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let inode = self.names.get(name)?;
        Some(self.inodes.get(inode)?.bytes.clone())
    }

    pub(super) fn put(&mut self, name: &str, bytes: &[u8]) {
        let number = self.next_inode;
        self.next_inode += 1;
        let inode = Inode {
            bytes: bytes.to_vec(),
            ..Inode::default()
        };
        self.inodes.insert(number, inode);
        self.names.insert(name.to_owned(), number);
        self.durable_names.insert(name.to_owned(), number);
    }
}

fn set_name(names: &mut BTreeMap<String, u64>, name: &str, inode: Option<u64>) {
    match inode {
        Some(inode) => names.insert(name.to_owned(), inode),
        None => names.remove(name),
    };
}

fn missing() -> io::Error {
    Errno::NOENT.into()
}

/// Everything simulated lies in memory, so its sizes fit.
fn usize_from(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
