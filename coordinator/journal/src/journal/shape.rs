//! Which entries the log holds, without their data; and which segments are still needed for them.

use std::collections::VecDeque;

use crate::types::Position;

/// Where the log begins and ends, and the terms in between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    start: Position,
    last: Position,
    /// Entries up to here lie in segments that were not read, so their terms aren't known. Not above `start` in a whole log.
    unread: u64,
    /// First position of each run of entries of one term.
    runs: VecDeque<Position>,
}

impl Shape {
    /// A log of which nothing was read yet but where it begins and ends.
    pub(super) fn unread(start: Position, last: Position) -> Self {
        Self {
            start,
            last,
            unread: last.index,
            runs: VecDeque::new(),
        }
    }

    pub(super) fn start(&self) -> Position {
        self.start
    }

    pub(super) fn last(&self) -> Position {
        self.last
    }

    /// First and last index of live entries that were not read, if there are any.
    pub(super) fn missing(&self) -> Option<(u64, u64)> {
        (self.unread > self.start.index).then_some((self.start.index + 1, self.unread))
    }

    /// The term at `index`, where it is known.
    pub(super) fn term_at(&self, index: u64) -> Option<u64> {
        if index == self.start.index {
            return Some(self.start.term);
        }
        if index == self.last.index {
            return Some(self.last.term);
        }
        if index <= self.unread || index < self.start.index || index > self.last.index {
            return None;
        }
        let after = self.runs.partition_point(|run| run.index <= index);
        Some(self.runs.get(after.checked_sub(1)?)?.term)
    }

    /// Why no entry can stand at `at`, or None if it can.
    pub(super) fn refusal(&self, at: Position) -> Option<String> {
        let (first, next) = (self.start.index + 1, self.last.index + 1);
        if !(first..=next).contains(&at.index) {
            let index = at.index;
            return Some(format!(
                "entry {index} does not follow the log, which takes entries {first} to {next}"
            ));
        }
        let before = self.term_at(at.index - 1)?;
        (at.term < before).then(|| {
            format!(
                "entry {} has term {}, below its predecessor's {before}",
                at.index, at.term
            )
        })
    }

    /// Adds an entry at `at`, in the place of all from there on. It must not be refused.
    pub(super) fn push(&mut self, at: Position) {
        while self.runs.back().is_some_and(|run| run.index >= at.index) {
            self.runs.pop_back();
        }
        self.unread = self.unread.min(at.index - 1);
        if self.runs.back().is_none_or(|run| run.term != at.term) {
            self.runs.push_back(at);
        }
        self.last = at;
    }

    /// The log begins after `start`. With `last` beyond it the entries from there on stay, otherwise none do.
    pub(super) fn restart(&mut self, start: Position, last: u64) {
        if last > start.index {
            while self
                .runs
                .get(1)
                .is_some_and(|run| run.index <= start.index + 1)
            {
                self.runs.pop_front();
            }
        } else {
            self.runs.clear();
            self.unread = 0;
            self.last = start;
        }
        self.start = start;
    }
}

/// One live segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) sequence: u64,
    /// Bytes that were written, header included.
    pub(super) used_bytes: u64,
    /// No live entry in it or before it has a greater index.
    highest: u64,
}

/// The live segments, oldest first; the last one is written to.
#[derive(Clone, Debug, Default)]
pub(super) struct Segments {
    list: VecDeque<Segment>,
}

impl Segments {
    pub(super) fn add(&mut self, sequence: u64, used_bytes: u64) {
        self.list.push_back(Segment {
            sequence,
            used_bytes,
            highest: 0,
        });
    }

    pub(super) fn used_bytes(&self) -> u64 {
        self.list.iter().map(|segment| segment.used_bytes).sum()
    }

    pub(super) fn set_used_bytes(&mut self, bytes: u64) {
        if let Some(newest) = self.list.back_mut() {
            newest.used_bytes = bytes;
        }
    }

    /// An entry was written into the newest segment, where the log ended with `last` before.
    pub(super) fn pushed(&mut self, index: u64, last: u64) {
        if index <= last {
            for segment in &mut self.list {
                segment.highest = segment.highest.min(index - 1);
            }
        }
        if let Some(newest) = self.list.back_mut() {
            newest.highest = index;
        }
    }

    /// The entries of the log were given up.
    pub(super) fn emptied(&mut self) {
        for segment in &mut self.list {
            segment.highest = 0;
        }
    }

    /// The oldest segment, if it's not the newest too and holds nothing above `index`.
    pub(super) fn dead_below(&self, index: u64) -> Option<Segment> {
        let oldest = self.list.front()?;
        (self.list.len() > 1 && oldest.highest <= index).then_some(*oldest)
    }

    pub(super) fn forget_oldest(&mut self) {
        self.list.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(index: u64, term: u64) -> Position {
        Position { index, term }
    }

    fn terms(shape: &Shape) -> Vec<Option<u64>> {
        (shape.start().index..=shape.last().index)
            .map(|index| shape.term_at(index))
            .collect()
    }

    fn of(terms: &[u64]) -> Shape {
        let mut shape = Shape::default();
        for (index, term) in (1..).zip(terms) {
            assert_eq!(shape.refusal(at(index, *term)), None);
            shape.push(at(index, *term));
        }
        shape
    }

    #[test]
    fn terms_are_known_through_conflicts_and_compaction() {
        let mut shape = of(&[1, 1, 2, 2, 3]);
        let known = |shape: &Shape| {
            terms(shape)
                .into_iter()
                .map(Option::unwrap)
                .collect::<Vec<_>>()
        };
        assert_eq!(known(&shape), [0, 1, 1, 2, 2, 3]);
        shape.push(at(4, 4));
        assert_eq!(known(&shape), [0, 1, 1, 2, 4]);
        shape.restart(at(2, 1), 4);
        assert_eq!(known(&shape), [1, 2, 4]);
        shape.restart(at(9, 6), 9);
        assert_eq!(known(&shape), [6]);
        assert_eq!(shape.missing(), None);
    }

    #[test]
    fn gap_compacted_index_and_falling_term_are_refused() {
        let mut shape = of(&[1, 1, 2]);
        shape.restart(at(1, 1), 3);
        for (refused, words) in [
            (at(5, 2), "takes entries 2 to 4"),
            (at(1, 2), "takes entries 2 to 4"),
            (at(4, 1), "below its predecessor's 2"),
        ] {
            let reason = shape.refusal(refused).unwrap();
            assert!(reason.contains(words), "{reason}");
        }
    }

    #[test]
    fn entries_that_were_not_read_are_missing_until_replaced_or_compacted() {
        let mut shape = Shape::unread(at(2, 1), at(9, 3));
        assert_eq!(shape.missing(), Some((3, 9)));
        shape.push(at(7, 4));
        assert_eq!(shape.missing(), Some((3, 6)));
        shape.restart(at(6, 3), 7);
        assert_eq!(shape.missing(), None);
        assert_eq!(terms(&shape), [Some(3), Some(4)]);
    }

    #[test]
    fn segment_is_dead_when_no_live_entry_is_in_it_or_before_it() {
        let mut segments = Segments::default();
        segments.add(1, 100);
        (1..=5).for_each(|index| segments.pushed(index, index - 1));
        segments.add(2, 100);
        segments.pushed(6, 5);
        assert_eq!(segments.dead_below(4), None);
        segments.pushed(4, 6);
        assert_eq!(segments.dead_below(2), None);
        assert_eq!(segments.dead_below(3).unwrap().sequence, 1);
        segments.forget_oldest();
        assert_eq!(segments.dead_below(100), None, "the newest stays");
    }
}
