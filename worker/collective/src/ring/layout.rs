//! Which part of the buffer goes over the ring when.
//!
//! The buffer is cut into as many segments as there are ranks. Rank `r` sends the segments `r, r-1, r-2, ...` (modulo the
//! number of ranks), twice around less two: the first `world - 1` of them are partial sums that the next rank adds its own
//! to, the rest are finished sums that it keeps (Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms for
//! clusters of workstations", 2009). What a rank receives is what it sends next, so sending may run ahead of receiving by
//! exactly its own first segment.

use std::ops::Range;

use convoy_common::ids::Rank;
use convoy_common::partition::part;

use crate::element::Dtype;

/// The order of segments for one rank and one buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    world: u64,
    rank: u64,
    elements: u64,
    element_bytes: usize,
}

impl Layout {
    pub(super) fn new(rank: Rank, world: u32, elements: usize, dtype: Dtype) -> Self {
        Self {
            world: world.into(),
            rank: rank.0.into(),
            elements: elements as u64,
            element_bytes: dtype.bytes(),
        }
    }

    /// Segments that are sent, and as many that are received.
    pub(super) fn turns(&self) -> u64 {
        2 * (self.world - 1)
    }

    /// Whether what is received in this turn is added to the own values, rather than replacing them.
    pub(super) fn adds(&self, turn: u64) -> bool {
        turn < self.world - 1
    }

    /// Bytes of the buffer that are sent in this turn.
    pub(super) fn outgoing(&self, turn: u64) -> Range<usize> {
        // Turns end at 2 * (world - 1), so that twice the world keeps this above 0.
        let segment = (self.rank + 2 * self.world - turn) % self.world;
        let elements = part(self.elements, self.world, segment);
        self.bytes_before(elements.start)..self.bytes_before(elements.end)
    }

    /// Bytes of the buffer that are received in this turn: the next ones to send.
    pub(super) fn incoming(&self, turn: u64) -> Range<usize> {
        self.outgoing(turn + 1)
    }

    fn bytes_before(&self, element: u64) -> usize {
        // Elements are elements of a slice, which is no longer than memory.
        usize::try_from(element).unwrap_or(usize::MAX) * self.element_bytes
    }
}

/// How far one of the two streams of an operation is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor {
    turn: u64,
    /// Bytes of the turn that are done.
    within: usize,
    /// Bytes of all turns that are done.
    total: usize,
}

impl Cursor {
    pub(super) fn turn(&self) -> u64 {
        self.turn
    }

    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// What is left of the current turn; empty when all turns are done. Skips turns without bytes.
    pub(super) fn rest(
        &mut self,
        turns: u64,
        bytes_of: impl Fn(u64) -> Range<usize>,
    ) -> Range<usize> {
        while self.turn < turns {
            let bytes = bytes_of(self.turn);
            let rest = bytes.start + self.within..bytes.end;
            if !rest.is_empty() {
                return rest;
            }
            self.turn += 1;
            self.within = 0;
        }
        0..0
    }

    pub(super) fn advance(&mut self, bytes: usize) {
        self.within += bytes;
        self.total += bytes;
    }
}
