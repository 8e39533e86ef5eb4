//! Which rank writes which tensor.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use convoy_common::ids::Rank;

/// The rank that writes each tensor, given the tensors' sizes in bytes: largest first, each to the rank with the least so
/// far (Graham, "Bounds on Multiprocessing Timing Anomalies", 1969). Depends on nothing else, so that every rank computes
/// the same; no two ranks differ by more than the largest tensor.
///
/// # Panics
/// If `world` is 0.
#[must_use]
pub fn assign_to_ranks(bytes_per_tensor: &[usize], world: u32) -> Vec<Rank> {
    assert!(
        world > 0,
        "nobody to write {} tensors",
        bytes_per_tensor.len()
    );
    let mut loads: BTreeSet<(usize, Rank)> = (0..world).map(|rank| (0, Rank(rank))).collect();
    let mut largest_first: Vec<usize> = (0..bytes_per_tensor.len()).collect();
    largest_first.sort_by_key(|index| (Reverse(bytes_per_tensor[*index]), *index));
    let mut owners = vec![Rank(0); bytes_per_tensor.len()];
    for index in largest_first {
        if let Some((load, rank)) = loads.pop_first() {
            owners[index] = rank;
            loads.insert((load + bytes_per_tensor[index], rank));
        }
    }
    owners
}
