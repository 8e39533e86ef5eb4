//! Proof that a new collective adds up, before anything depends on it.

use std::sync::Arc;

use crate::buffer::HostBuffer;
use crate::collective::{Collective, OpTag, ReadyEvent};
use crate::element::ReduceOp;
use crate::error::{CollectiveError, Failure};

/// Longer than a segment of any ring that is likely, and of no round size.
const ELEMENTS: usize = 4_099;

/// The phase of the tag; callers number their own phases from 0.
const PHASE: u8 = u8::MAX;

/// All-reduces numbers that every rank can check. `generation` only tags it and must be the same everywhere.
///
/// # Errors
/// [`Failure::WrongChecksum`], or what broke the collective.
pub fn verify(collective: &dyn Collective, generation: u64) -> Result<(), CollectiveError> {
    let world = collective.world();
    let own = (0..ELEMENTS)
        .map(|index| contribution(collective.rank().0, index))
        .collect();
    let buffer = Arc::new(HostBuffer::new(own));
    let tag = OpTag {
        generation,
        step: 0,
        phase: PHASE,
        bucket: u32::MAX,
    };
    let ticket = collective.submit(buffer.clone(), ReduceOp::Sum, tag, ReadyEvent::Immediate)?;
    collective.wait(ticket)?;
    let values = buffer.values();
    for (index, got) in values.iter().copied().enumerate() {
        let expected = (0..world)
            .map(|rank| contribution(rank, index))
            .fold(0, i64::wrapping_add);
        if got != expected {
            return Err(Failure::WrongChecksum {
                world,
                index,
                got,
                expected,
            }
            .into());
        }
    }
    Ok(())
}

/// Differs from rank to rank and from element to element, so that anything in the wrong place shows.
fn contribution(rank: u32, index: usize) -> i64 {
    let mixed = convoy_common::order::mix((u64::from(rank) << 32) | index as u64);
    mixed.cast_signed()
}
