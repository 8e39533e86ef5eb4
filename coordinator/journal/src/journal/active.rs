//! The segment that is written to.

use super::record::{Place, Record, SEAL_BYTES};
use super::replay::Newest;
use super::segment::{self, Header};
use crate::bytes::to_usize;

/// An open segment and where it ends.
pub(super) struct Active<F> {
    pub(super) name: String,
    pub(super) file: F,
    pub(super) sequence: u64,
    length: usize,
    seed: u32,
    chain: u32,
    offset: usize,
    synced: usize,
}

impl<F> Active<F> {
    /// A new one; the header is durable.
    pub(super) fn new(header: &Header, seed: u32, file: F) -> Self {
        Self {
            name: segment::name(header.sequence),
            file,
            sequence: header.sequence,
            length: to_usize(header.length_bytes),
            seed,
            chain: seed,
            offset: segment::HEADER_BYTES,
            synced: segment::HEADER_BYTES,
        }
    }

    /// One that was read; all of it is durable.
    pub(super) fn continuing(newest: Newest, file: F) -> Self {
        Self {
            chain: newest.chain,
            offset: newest.offset,
            synced: newest.offset,
            ..Self::new(&newest.header, newest.seed, file)
        }
    }

    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    pub(super) fn is_synced(&self) -> bool {
        self.synced == self.offset
    }

    pub(super) fn is_half_full(&self) -> bool {
        self.offset > self.length / 2
    }

    /// Whether records of `bytes` fit, and the seal after them.
    pub(super) fn fits(&self, bytes: usize) -> bool {
        self.offset + bytes + SEAL_BYTES <= self.length
    }

    /// How many of `records` fit, and the seal after them.
    pub(super) fn how_many_fit(&self, records: &[Record<'_>]) -> usize {
        let mut bytes = 0;
        records
            .iter()
            .take_while(|record| {
                bytes += record.bytes();
                self.fits(bytes)
            })
            .count()
    }

    /// Appends the records to `out` as they are to be written at [`offset`](Self::offset); the chain after them.
    pub(super) fn encode(&self, records: &[Record<'_>], out: &mut Vec<u8>) -> u32 {
        let begin = out.len();
        let mut chain = self.chain;
        for record in records {
            let place = Place {
                seed: self.seed,
                offset: self.offset + out.len() - begin,
                chain,
                synced: self.synced,
            };
            chain = record.encode(place, out);
        }
        chain
    }

    /// What was encoded has been written.
    pub(super) fn written(&mut self, bytes: usize, chain: u32) {
        self.offset += bytes;
        self.chain = chain;
    }

    /// Everything written is durable.
    pub(super) fn synced(&mut self) {
        self.synced = self.offset;
    }
}
