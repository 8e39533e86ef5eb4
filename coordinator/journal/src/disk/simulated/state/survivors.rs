//! What a crash leaves of what was not synced.

use std::collections::BTreeMap;

use super::inode::{Inode, What};
use super::{State, set_name, usize_from};

/// How a crash chooses.
#[derive(Clone, Copy)]
enum Fate {
    /// Nothing unsynced reached the disk.
    AllLost,
    /// All of it did.
    AllKept,
    /// The disk took changes in order, up to this one, which is torn.
    Until(u64),
    /// Each change by itself is kept, lost or torn: the disk's cache wrote in any order.
    Any,
}

/// What becomes of one change.
enum Kept {
    Nothing,
    Everything,
    /// Of a write only the bytes from `from` to `to`, or only the others.
    Part {
        from: usize,
        to: usize,
        inside: bool,
    },
}

impl State {
    /// The disk after a crash; this one stops.
    pub(in super::super) fn crash(&mut self) -> Self {
        self.faults.has_stopped = true;
        let fate = match self.below(5) {
            0 => Fate::AllLost,
            1 => Fate::AllKept,
            2 => Fate::Until(self.random_end()),
            _ => Fate::Any,
        };
        let names = self.surviving_names(fate);
        let mut inodes = BTreeMap::new();
        for number in names.values() {
            let Some(inode) = self.inodes.remove(number) else {
                continue;
            };
            let bytes = self.surviving_bytes(&inode, fate);
            let survivor = Inode {
                bytes,
                ..Inode::default()
            };
            inodes.insert(*number, survivor);
        }
        let mut next = Self::new(self.draw());
        next.next_inode = self.next_inode;
        next.inodes = inodes;
        next.durable_names.clone_from(&names);
        next.names = names;
        next.capacity = self.capacity;
        next.faults.write_us = self.faults.write_us;
        next.faults.sync_us = self.faults.sync_us;
        next
    }

    /// A random one of the unsynced changes, or one after the last.
    fn random_end(&mut self) -> u64 {
        let of_bytes = self.inodes.values().flat_map(|inode| &inode.unsynced);
        let mut orders: Vec<u64> = of_bytes.map(|change| change.order).collect();
        orders.extend(self.unsynced_names.iter().map(|change| change.order));
        orders.sort_unstable();
        orders.push(self.next_change + 1);
        let chosen = self.below(orders.len() as u64);
        orders[usize_from(chosen)]
    }

    fn surviving_names(&mut self, fate: Fate) -> BTreeMap<String, u64> {
        let mut names = self.durable_names.clone();
        for change in std::mem::take(&mut self.unsynced_names) {
            // A change of names is atomic.
            if matches!(self.kept(fate, change.order, 0), Kept::Everything) {
                for (name, inode) in &change.sets {
                    set_name(&mut names, name, *inode);
                }
            }
        }
        names
    }

    fn surviving_bytes(&mut self, inode: &Inode, fate: Fate) -> Vec<u8> {
        let mut bytes = inode.durable();
        for change in &inode.unsynced {
            match &change.what {
                What::Bytes { offset, after, .. } => {
                    let kept = self.kept(fate, change.order, after.len());
                    write_part(&mut bytes, *offset, after, &kept);
                }
                What::Length { after, .. } => match self.kept(fate, change.order, 0) {
                    Kept::Nothing => {}
                    Kept::Everything | Kept::Part { .. } => bytes.resize(*after, 0),
                },
            }
        }
        bytes
    }

    fn kept(&mut self, fate: Fate, order: u64, bytes: usize) -> Kept {
        match fate {
            Fate::AllLost => Kept::Nothing,
            Fate::AllKept => Kept::Everything,
            Fate::Until(end) if order < end => Kept::Everything,
            Fate::Until(end) if order == end && bytes > 0 => Kept::Part {
                from: 0,
                to: self.up_to(bytes),
                inside: true,
            },
            Fate::Until(_) => Kept::Nothing,
            Fate::Any => match self.below(4) {
                0 => Kept::Nothing,
                1 => Kept::Everything,
                _ if bytes == 0 => Kept::Everything,
                _ => {
                    let (one, other) = (self.up_to(bytes), self.up_to(bytes));
                    Kept::Part {
                        from: one.min(other),
                        to: one.max(other),
                        inside: self.below(2) == 0,
                    }
                }
            },
        }
    }

    fn up_to(&mut self, bytes: usize) -> usize {
        usize_from(self.below(bytes as u64 + 1))
    }
}

/// Writes what is kept of `after`, below the end that the file has: growing it was a change of its own.
fn write_part(bytes: &mut [u8], offset: usize, after: &[u8], kept: &Kept) {
    for (at, byte) in after.iter().enumerate() {
        let keeps = match kept {
            Kept::Nothing => false,
            Kept::Everything => true,
            Kept::Part { from, to, inside } => (*from..*to).contains(&at) == *inside,
        };
        if keeps && let Some(place) = bytes.get_mut(offset + at) {
            *place = *byte;
        }
    }
}
