//! All-reduces as nccl-tests measures them: in place, sums of f32, one after the other.

use std::sync::Arc;
use std::time::Instant;

use convoy_collective::{Collective, HostBuffer, OpTag, ReadyEvent, ReduceOp, TcpRing};
use serde::Deserialize;
use serde_json::json;

use super::arguments::MemberArguments;
use super::{line, ring};

/// Values of the check are whole numbers below this, so that their sums are exact in f32, in any order.
const CHECK_RANGE: u64 = 1 << 16;
/// Timed values start this small: sums of sums stay finite for long, and an infinity costs no more.
const SMALL: f32 = 1e-30;

#[derive(Debug, Deserialize)]
struct Turn {
    /// Numbers in the buffer.
    elements: usize,
    /// Timed all-reduces.
    iterations: u32,
    /// All-reduces before them, besides the one that is checked.
    warm_up: u32,
}

/// Serves turns until the input ends.
pub(super) fn serve(member: &MemberArguments) -> anyhow::Result<()> {
    let Some(ring) = ring::join(member)? else {
        return Ok(());
    };
    line::tell(&json!({ "ready": { "version": crate::check::BUILD } }))?;
    let mut operations = Operations { ring, done: 0 };
    while let Some(turn) = line::next::<Turn>()? {
        let buffer = Arc::new(HostBuffer::new(contribution(member.rank, turn.elements)));
        operations.sum(&buffer)?;
        let wrong = count_wrong(&buffer.values(), member.world);
        buffer.values().fill(SMALL);
        for _ in 0..turn.warm_up {
            operations.sum(&buffer)?;
        }
        let start = Instant::now();
        for _ in 0..turn.iterations {
            operations.sum(&buffer)?;
        }
        let seconds = start.elapsed().as_secs_f64();
        line::tell(&json!({ "seconds": [seconds], "wrong": wrong }))?;
    }
    Ok(())
}

struct Operations {
    ring: TcpRing,
    done: u64,
}

impl Operations {
    fn sum(&mut self, buffer: &Arc<HostBuffer<f32>>) -> anyhow::Result<()> {
        let tag = OpTag {
            generation: 1,
            step: self.done,
            phase: 0,
            bucket: 0,
        };
        self.done += 1;
        let lent = Arc::clone(buffer);
        let ticket = self
            .ring
            .submit(lent, ReduceOp::Sum, tag, ReadyEvent::Immediate)?;
        Ok(self.ring.wait(ticket)?)
    }
}

/// What `rank` puts at `index`; the Python contender puts the same.
fn value(rank: u32, index: usize) -> f32 {
    let mixed = (index as u64 * 31 + u64::from(rank) * 977) % CHECK_RANGE;
    mixed as f32
}

fn contribution(rank: u32, elements: usize) -> Vec<f32> {
    (0..elements).map(|index| value(rank, index)).collect()
}

fn count_wrong(values: &[f32], world: u32) -> usize {
    let reference = |index| (0..world).map(|rank| value(rank, index)).sum::<f32>();
    let pairs = values.iter().enumerate();
    pairs
        .filter(|(index, got)| **got != reference(*index))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_exact_and_a_wrong_one_is_counted() {
        let elements = 70_000;
        let mut sums: Vec<f32> = (0..elements)
            .map(|index| (0..4).map(|rank| value(rank, index)).sum())
            .collect();
        assert!(sums.iter().all(|sum| *sum < 16_777_216.0));
        assert_eq!(count_wrong(&sums, 4), 0);
        sums[69_999] += 1.0;
        assert_eq!(count_wrong(&sums, 4), 1);
    }
}
