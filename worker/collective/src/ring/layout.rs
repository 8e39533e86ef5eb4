//! Which part of the buffer goes over the ring when.
//!
//! The buffer is cut into as many segments as there are ranks. Rank `r` sends the segments `r, r-1, r-2, ...` (modulo the
//! number of ranks), twice around less two: the first `world - 1` of them are partial sums that the next rank adds its own
//! to, the rest are finished sums that it keeps (Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms for
//! clusters of workstations", 2009). What a rank receives is what it sends next, so sending may run ahead of receiving by
//! exactly its own first segment. A large buffer goes around in pieces, one after the other.

use std::ops::Range;

use convoy_common::ids::Rank;
use convoy_common::partition::part;

use crate::element::Dtype;

/// Bytes of a large buffer that go around the ring before the next ones: what was received is then still in the last-level
/// cache when it is sent on, also where all ranks share one.
const PIECE_BYTES: usize = 4 << 20;

/// Elements of each rank's part of a piece are a multiple of this: whole cache lines.
const ALIGNMENT: u64 = 16;

/// The order of segments for one rank and one buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    world: u64,
    rank: u64,
    elements: u64,
    element_bytes: usize,
    pieces: u64,
    /// Elements of each piece but the last, whose segments are all alike; the last takes what is left.
    piece_elements: u64,
}

impl Layout {
    pub(super) fn new(rank: Rank, world: u32, elements: usize, dtype: Dtype) -> Self {
        let (world, elements) = (u64::from(world), elements as u64);
        let wanted = (PIECE_BYTES / dtype.bytes()) as u64;
        let piece_elements = wanted.next_multiple_of(world * ALIGNMENT);
        Self {
            world,
            rank: rank.0.into(),
            elements,
            element_bytes: dtype.bytes(),
            pieces: (elements / piece_elements).max(1),
            piece_elements,
        }
    }

    /// Segments that are sent, and as many that are received.
    pub(super) fn turns(&self) -> u64 {
        self.pieces * self.turns_of_piece()
    }

    fn turns_of_piece(&self) -> u64 {
        2 * (self.world - 1)
    }

    /// Whether what is received in this turn is added to the own values, rather than replacing them.
    pub(super) fn adds(&self, turn: u64) -> bool {
        turn % self.turns_of_piece() < self.world - 1
    }

    /// Bytes of the buffer that are sent in this turn.
    pub(super) fn outgoing(&self, turn: u64) -> Range<usize> {
        let turns = self.turns_of_piece();
        self.segment(turn / turns, turn % turns)
    }

    /// Bytes of the buffer that are received in this turn: the next ones of its piece to send.
    pub(super) fn incoming(&self, turn: u64) -> Range<usize> {
        let turns = self.turns_of_piece();
        self.segment(turn / turns, turn % turns + 1)
    }

    /// Bytes of the own first segment in the piece of this turn: how far sending may run ahead there. Earlier pieces have
    /// segments that are all alike, so that they end with as many bytes sent as received.
    pub(super) fn head_start(&self, turn: u64) -> usize {
        self.segment(turn / self.turns_of_piece(), 0).len()
    }

    fn segment(&self, piece: u64, turn: u64) -> Range<usize> {
        let start = piece * self.piece_elements;
        let end = if piece + 1 == self.pieces {
            self.elements
        } else {
            start + self.piece_elements
        };
        // Turns end at 2 * (world - 1), so that twice the world keeps this above 0.
        let segment = (self.rank + 2 * self.world - turn) % self.world;
        let elements = part(end - start, self.world, segment);
        self.bytes_before(start + elements.start)..self.bytes_before(start + elements.end)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn layout(rank: u32, world: u32, elements: usize) -> Layout {
        Layout::new(Rank(rank), world, elements, Dtype::F32)
    }

    #[test]
    fn small_buffer_is_one_piece_and_a_large_one_has_no_tiny_rest() {
        let piece = PIECE_BYTES / 4;
        assert_eq!(layout(0, 2, piece).pieces, 1);
        assert_eq!(layout(0, 2, 2 * piece - 1).pieces, 1);
        assert_eq!(layout(0, 2, 2 * piece).pieces, 2);
        assert_eq!(layout(0, 2, 0).turns(), 2);
    }

    proptest! {
        /// Byte for byte: what is sent was received one turn earlier, or is the own first segment; and all bytes come by.
        #[test]
        fn nothing_is_sent_before_it_is_final(
            world in 2u32..6,
            rank in 0u32..6,
            elements in 0usize..6 * PIECE_BYTES / 4,
        ) {
            let layout = layout(rank % world, world, elements);
            let (mut sent, mut received, mut finished) = (0, 0, 0);
            for turn in 0..layout.turns() {
                let (out, within) = (layout.outgoing(turn), turn % layout.turns_of_piece());
                if within > 0 {
                    prop_assert_eq!(&out, &layout.incoming(turn - 1));
                    // Its last byte may leave once the whole of the turn before has come, and not earlier.
                    prop_assert_eq!(layout.head_start(turn) + received, sent + out.len());
                }
                sent += out.len();
                received += layout.incoming(turn).len();
                if !layout.adds(turn) {
                    finished += layout.incoming(turn).len();
                }
                if within + 1 == layout.turns_of_piece() {
                    // Of each piece everything is finished but the one segment that this rank finished itself.
                    finished += layout.segment(turn / layout.turns_of_piece(), u64::from(world) - 1).len();
                }
            }
            prop_assert_eq!(finished, elements * 4);
        }
    }
}
