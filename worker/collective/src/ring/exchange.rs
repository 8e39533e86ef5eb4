//! One all-reduce as two byte streams that run at once.
//!
//! **Invariant:** nothing is sent that is not final for its turn. A byte is sent only once the receiving stream has
//! passed its place one turn earlier, or when it belongs to the own first segment.

use crate::element::{Elements, Reducer, reducer};
use crate::error::{CollectiveError, Failure};
use crate::operation::Header;

use super::layout::{Cursor, Layout};
use super::link::Link;
use super::member::Identity;
use super::wire::{self, HEADER_BYTES};

/// Bytes received at once for adding: small enough to be still in the second-level cache when they are added, large
/// enough that system calls cost little.
const SCRATCH_BYTES: usize = 128 << 10;

/// Bytes handed to the kernel at once, so that receiving gets its turn between them.
const SEND_BYTES: usize = 256 << 10;

/// Room for received bytes before they are added. In words, because elements need their alignment.
pub(super) type Scratch = Box<[u64]>;

/// Memory for [`Exchange`], made once per ring.
pub(super) fn scratch() -> Scratch {
    vec![0; SCRATCH_BYTES / size_of::<u64>()].into_boxed_slice()
}

/// The state of one all-reduce in progress.
pub(super) struct Exchange<'a> {
    header: Header,
    layout: Layout,
    reduce: Reducer,
    element_bytes: usize,
    buffer: &'a mut [u8],
    scratch: &'a mut [u8],
    /// Bytes at the beginning of `scratch` that are part of an element whose rest has not arrived.
    partial: usize,
    sent_header: Sent,
    received_header: Received,
    sending: Cursor,
    receiving: Cursor,
}

struct Sent {
    bytes: [u8; HEADER_BYTES],
    done: usize,
}

struct Received {
    bytes: [u8; HEADER_BYTES],
    done: usize,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(
        header: Header,
        me: &Identity,
        elements: Elements<'a>,
        scratch: &'a mut [u64],
    ) -> Self {
        let dtype = elements.dtype();
        let layout = Layout::new(me.rank, me.world, elements.len(), dtype);
        Self {
            header,
            layout,
            reduce: reducer(dtype, header.op),
            element_bytes: dtype.bytes(),
            buffer: elements.into_bytes(),
            scratch: bytemuck::cast_slice_mut(scratch),
            partial: 0,
            sent_header: Sent {
                bytes: wire::encode(&header),
                done: 0,
            },
            received_header: Received {
                bytes: [0; HEADER_BYTES],
                done: 0,
            },
            sending: Cursor::default(),
            receiving: Cursor::default(),
        }
    }

    /// Whether bytes are still to be sent, now or later.
    pub(super) fn has_unsent(&mut self) -> bool {
        self.sent_header.done < HEADER_BYTES || !self.unsent().is_empty()
    }

    /// Whether there are bytes that may be sent now.
    pub(super) fn has_sendable(&mut self) -> bool {
        self.sent_header.done < HEADER_BYTES || self.sendable() > 0
    }

    /// Whether bytes are still to come.
    pub(super) fn has_unreceived(&mut self) -> bool {
        self.received_header.done < HEADER_BYTES || !self.unreceived().is_empty()
    }

    /// Sends what may be sent and what the socket takes, at most one portion. Whether anything moved.
    pub(super) fn send(&mut self, next: &Link) -> Result<bool, CollectiveError> {
        let header = self.header;
        let lost = |how| next.lost(how, format_args!("in {header}"));
        if self.sent_header.done < HEADER_BYTES {
            let follows = !self.layout.outgoing(0).is_empty();
            let sent = next
                .send(&self.sent_header.bytes[self.sent_header.done..], follows)
                .map_err(lost)?;
            self.sent_header.done += sent.unwrap_or(0);
            return Ok(sent.is_some());
        }
        let unsent = self.unsent();
        let portion = self.sendable().min(SEND_BYTES);
        if portion == 0 {
            return Ok(false);
        }
        let sent = next
            .send(&self.buffer[unsent.start..unsent.start + portion], false)
            .map_err(lost)?;
        self.sending.advance(sent.unwrap_or(0));
        Ok(sent.is_some())
    }

    /// Receives what has arrived, at most one portion, and adds it or puts it in its place. Whether anything moved.
    pub(super) fn receive(&mut self, previous: &Link) -> Result<bool, CollectiveError> {
        if self.received_header.done < HEADER_BYTES {
            return self.receive_header(previous);
        }
        let unreceived = self.unreceived();
        if unreceived.is_empty() {
            return Ok(false);
        }
        let header = self.header;
        let lost = |how| previous.lost(how, format_args!("in {header}"));
        if !self.layout.adds(self.receiving.turn()) {
            let received = previous
                .receive(&mut self.buffer[unreceived])
                .map_err(lost)?;
            self.receiving.advance(received.unwrap_or(0));
            return Ok(received.is_some());
        }
        let end = unreceived.len().min(self.scratch.len());
        let Some(received) = previous
            .receive(&mut self.scratch[self.partial..end])
            .map_err(lost)?
        else {
            return Ok(false);
        };
        let filled = self.partial + received;
        let whole = filled - filled % self.element_bytes;
        (self.reduce)(
            &mut self.buffer[unreceived.start..unreceived.start + whole],
            &self.scratch[..whole],
        );
        self.scratch.copy_within(whole..filled, 0);
        self.partial = filled - whole;
        self.receiving.advance(whole);
        Ok(true)
    }

    fn receive_header(&mut self, previous: &Link) -> Result<bool, CollectiveError> {
        let header = self.header;
        let place = &mut self.received_header.bytes[self.received_header.done..];
        let received = previous
            .receive(place)
            .map_err(|how| previous.lost(how, format_args!("before its part of {header}")))?;
        self.received_header.done += received.unwrap_or(0);
        if self.received_header.done == HEADER_BYTES
            && self.received_header.bytes != self.sent_header.bytes
        {
            return Err(self.disagreement(previous));
        }
        Ok(received.is_some())
    }

    /// `lost`, unless the previous rank's header explains why the next one left: in a ring of two they are the same rank.
    pub(super) fn disagreement_or(
        &mut self,
        lost: CollectiveError,
        previous: &Link,
    ) -> CollectiveError {
        while self.received_header.done < HEADER_BYTES {
            match self.receive_header(previous) {
                Ok(true) => {}
                Ok(false) => return lost,
                Err(error) => {
                    let explains = matches!(
                        error.failure(),
                        Failure::OutOfStep { .. } | Failure::Garbled { .. }
                    );
                    return if explains { error } else { lost };
                }
            }
        }
        lost
    }

    fn disagreement(&self, previous: &Link) -> CollectiveError {
        let peer = previous.peer();
        let (rank, address) = (peer.rank, peer.address.to_string());
        match wire::decode(&self.received_header.bytes) {
            Ok(theirs) => {
                let (theirs, ours) = (theirs.to_string(), self.header.to_string());
                Failure::OutOfStep {
                    rank,
                    address,
                    theirs,
                    ours,
                }
                .into()
            }
            Err(what) => Failure::Garbled {
                rank,
                address,
                what,
            }
            .into(),
        }
    }

    fn unsent(&mut self) -> std::ops::Range<usize> {
        let layout = self.layout;
        self.sending
            .rest(layout.turns(), |turn| layout.outgoing(turn))
    }

    fn unreceived(&mut self) -> std::ops::Range<usize> {
        let layout = self.layout;
        self.receiving
            .rest(layout.turns(), |turn| layout.incoming(turn))
    }

    /// Bytes of the current turn that may be sent.
    fn sendable(&mut self) -> usize {
        let unsent = self.unsent().len();
        let ahead = self.layout.head_start(self.sending.turn()) + self.receiving.total();
        // At the beginning of a last piece with smaller segments it may have sent more than that.
        unsent.min(ahead.saturating_sub(self.sending.total()))
    }
}
