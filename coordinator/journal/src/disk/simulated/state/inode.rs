//! One file: its bytes as they are seen, and what would undo every unsynced change.

/// A file's contents.
#[derive(Default)]
pub(super) struct Inode {
    pub(super) bytes: Vec<u8>,
    /// In the order in which they were made.
    pub(super) unsynced: Vec<Change>,
    pub(super) handles: u32,
}

/// One change that a crash may lose.
pub(super) struct Change {
    pub(super) order: u64,
    pub(super) what: What,
    /// A sync that should have made it durable failed: none ever will.
    pub(super) is_lost: bool,
}

/// What a change did.
pub(super) enum What {
    /// Bytes at an offset, below the length of that time.
    Bytes {
        offset: usize,
        before: Vec<u8>,
        after: Vec<u8>,
    },
    /// The length; `cut` is what was beyond the new one.
    Length {
        before: usize,
        after: usize,
        cut: Vec<u8>,
    },
}

impl Inode {
    pub(super) fn resize(&mut self, order: u64, after: usize) {
        let before = self.bytes.len();
        if after == before {
            return;
        }
        let cut = self.bytes.get(after..).unwrap_or_default().to_vec();
        self.bytes.resize(after, 0);
        self.push(order, What::Length { before, after, cut });
    }

    /// The bytes must lie below the file's end.
    pub(super) fn write(&mut self, order: u64, offset: usize, after: &[u8]) {
        let place = &mut self.bytes[offset..offset + after.len()];
        let before = place.to_vec();
        place.copy_from_slice(after);
        let after = after.to_vec();
        self.push(
            order,
            What::Bytes {
                offset,
                before,
                after,
            },
        );
    }

    fn push(&mut self, order: u64, what: What) {
        self.unsynced.push(Change {
            order,
            what,
            is_lost: false,
        });
    }

    /// The bytes without any unsynced change.
    pub(super) fn durable(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        for change in self.unsynced.iter().rev() {
            match &change.what {
                What::Bytes { offset, before, .. } => {
                    bytes[*offset..*offset + before.len()].copy_from_slice(before);
                }
                What::Length { before, after, cut } => {
                    bytes.truncate(*after);
                    bytes.extend_from_slice(cut);
                    bytes.resize(*before, 0);
                }
            }
        }
        bytes
    }
}
