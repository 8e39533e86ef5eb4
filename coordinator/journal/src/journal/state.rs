//! What the records of a log amount to, whether they are being read or written.

use super::record::Record;
use super::segment::Header;
use super::shape::{Segments, Shape};
use crate::types::{HardState, Identity};

/// The log after some record, without the entries' data.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) identity: Option<Identity>,
    pub(super) hard_state: HardState,
    pub(super) shape: Shape,
    pub(super) segments: Segments,
}

impl State {
    /// What a header says of the log before its segment; none of that was read.
    pub(super) fn before(header: &Header) -> Self {
        Self {
            identity: Some(header.identity),
            hard_state: header.hard_state,
            shape: Shape::unread(header.start, header.last),
            segments: Segments::default(),
        }
    }

    /// Whether a segment with this header can follow; otherwise where in it and why not.
    pub(super) fn accepts(&self, header: &Header, chain: u32) -> Result<(), (u64, &'static str)> {
        if self.identity != Some(header.identity) {
            return Err((32, "it belongs to another replica than the segment before"));
        }
        if header.chain != chain {
            return Err((
                104,
                "it does not follow on the segment before as that one ends",
            ));
        }
        if header.restarts {
            return Ok(());
        }
        if header.hard_state != self.hard_state {
            return Err((
                48,
                "its hard state is not the one that the segment before ends with",
            ));
        }
        if (header.start, header.last) != (self.shape.start(), self.shape.last()) {
            return Err((72, "it does not continue the entries of the segment before"));
        }
        Ok(())
    }

    /// A segment begins; its header was accepted.
    pub(super) fn begin(&mut self, header: &Header, used_bytes: usize) {
        if header.restarts {
            self.hard_state = header.hard_state;
            self.shape.restart(header.start, header.last.index);
            self.segments.emptied();
        }
        self.segments.add(header.sequence, used_bytes as u64);
    }

    /// Takes a record, or says why it can't be one of this log. Nothing is changed then.
    pub(super) fn apply(&mut self, record: &Record<'_>) -> Result<(), String> {
        match record {
            Record::HardState(hard_state) => self.hard_state = *hard_state,
            Record::Entry { at, .. } => {
                if let Some(reason) = self.shape.refusal(*at) {
                    return Err(reason);
                }
                self.segments.pushed(at.index, self.shape.last().index);
                self.shape.push(*at);
            }
            Record::Start { start, last } => {
                let keeps = *last > start.index;
                let (begin, end) = (self.shape.start().index, self.shape.last().index);
                if start.index < begin || *last < start.index || (keeps && *last != end) {
                    return Err(format!(
                        "a new start at {} up to {last} does not fit a log from {begin} to {end}",
                        start.index
                    ));
                }
                if !keeps {
                    self.segments.emptied();
                }
                self.shape.restart(*start, *last);
            }
            Record::Seal { .. } => {}
        }
        Ok(())
    }
}
