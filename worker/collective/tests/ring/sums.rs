//! All-reduces against sums made the plain way.

use std::sync::Arc;

use convoy_collective::{
    Collective, Element, HostBuffer, InProcess, OpTag, ReadyEvent, ReduceOp, Ticket, verify,
};
use convoy_common::order::mix;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::world::{connect, each, seats};

const OPS: [ReduceOp; 3] = [ReduceOp::Sum, ReduceOp::Min, ReduceOp::Max];

#[derive(Clone, Copy, Debug)]
struct Case {
    elements: usize,
    op: ReduceOp,
    seed: u64,
}

fn tag(bucket: usize) -> OpTag {
    OpTag {
        generation: 1,
        step: 2,
        phase: 3,
        bucket: u32::try_from(bucket).unwrap(),
    }
}

fn value(case: Case, rank: u32, index: usize) -> u64 {
    mix(case.seed ^ mix((u64::from(rank) << 32) + index as u64))
}

fn input<T: Element>(case: Case, rank: u32, convert: fn(u64) -> T) -> Vec<T> {
    (0..case.elements)
        .map(|index| convert(value(case, rank, index)))
        .collect()
}

fn expected<T: Element>(case: Case, world: u32, convert: fn(u64) -> T) -> Vec<T> {
    let combine = match case.op {
        ReduceOp::Sum => T::sum,
        ReduceOp::Min => T::least,
        ReduceOp::Max => T::greatest,
    };
    let reduced = |index| {
        (0..world)
            .map(|rank| convert(value(case, rank, index)))
            .reduce(combine)
            .unwrap()
    };
    (0..case.elements).map(reduced).collect()
}

/// All cases in flight at once; returns the results of one rank.
fn reduce_all<T: Element>(
    collective: &dyn Collective,
    cases: &[Case],
    convert: fn(u64) -> T,
) -> Vec<Vec<T>> {
    let submit = |(place, case): (usize, &Case)| -> (Arc<HostBuffer<T>>, Ticket) {
        let buffer = Arc::new(HostBuffer::new(input(*case, collective.rank().0, convert)));
        let ticket = collective
            .submit(buffer.clone(), case.op, tag(place), ReadyEvent::Immediate)
            .unwrap();
        (buffer, ticket)
    };
    let submitted: Vec<_> = cases.iter().enumerate().map(submit).collect();
    let finish = |(buffer, ticket): (Arc<HostBuffer<T>>, Ticket)| {
        collective.wait(ticket).unwrap();
        let buffer = Arc::into_inner(buffer).expect("a buffer is given back before wait returns");
        buffer.into_values()
    };
    submitted.into_iter().map(finish).collect()
}

fn check<T: Element, C: Collective>(members: &[C], cases: &[Case], convert: fn(u64) -> T) {
    let world = u32::try_from(members.len()).unwrap();
    let results = each(members, |member| reduce_all(member, cases, convert));
    for result in results {
        for (case, got) in cases.iter().zip(result) {
            assert!(
                got == expected(*case, world, convert),
                "{case:?} over {world} ranks of {}",
                T::DTYPE
            );
        }
    }
}

/// Whole numbers that f32 adds exactly in any order.
fn small(value: u64) -> f32 {
    f32::from(u16::try_from(value >> 48).unwrap()) - 32_768.0
}

fn cases(longest: usize) -> impl Strategy<Value = Vec<Case>> {
    let elements = prop_oneof![0..12usize, 0..longest];
    let case = (elements, 0..OPS.len(), any::<u64>()).prop_map(|(elements, op, seed)| Case {
        elements,
        op: OPS[op],
        seed,
    });
    proptest::collection::vec(case, 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, rng_seed: RngSeed::Fixed(2), ..ProptestConfig::default() })]

    #[test]
    fn a_ring_reduces_like_the_reference(world in 1u32..7, cases in cases(60_000)) {
        let rings = connect(&seats(world));
        check::<f32, _>(&rings, &cases, small);
        check::<i32, _>(&rings, &cases, |value| value as i32);
        check::<i64, _>(&rings, &cases, |value| value as i64);
    }

    #[test]
    fn a_group_in_one_process_reduces_like_the_reference(world in 1u32..7, cases in cases(2_000)) {
        let group = InProcess::group(world);
        check::<f32, _>(&group, &cases, small);
        check::<i32, _>(&group, &cases, |value| value as i32);
        check::<i64, _>(&group, &cases, |value| value as i64);
    }
}

#[test]
fn long_buffers_take_many_portions() {
    let rings = connect(&seats(3));
    let cases: Vec<_> = OPS
        .map(|op| Case {
            elements: 1_000_003,
            op,
            seed: 7,
        })
        .into();
    check::<f32, _>(&rings, &cases, small);
    check::<i64, _>(&rings, &cases, |value| value as i64);
}

#[test]
fn large_buffers_go_around_in_pieces() {
    for world in [2, 3] {
        let rings = connect(&seats(world));
        let case = Case {
            elements: 3_500_001,
            op: ReduceOp::Sum,
            seed: 13,
        };
        check::<f32, _>(&rings, &[case], small);
    }
}

#[test]
fn every_rank_ends_with_the_same_bytes_where_rounding_depends_on_order() {
    let rings = connect(&seats(5));
    let case = Case {
        elements: 10_007,
        op: ReduceOp::Sum,
        seed: 11,
    };
    let results = each(&rings, |ring| {
        reduce_all::<f32>(ring, &[case], |value| {
            (value as f32 / u64::MAX as f32 - 0.5) * ((value % 97) as f32).exp2()
        })
    });
    let bits = |result: &Vec<Vec<f32>>| {
        result[0]
            .iter()
            .map(|value| value.to_bits())
            .collect::<Vec<_>>()
    };
    assert!(
        results
            .iter()
            .all(|result| bits(result) == bits(&results[0]))
    );
}

#[test]
fn a_healthy_collective_passes_its_checksum() {
    for world in 1..5 {
        let rings = connect(&seats(world));
        each(&rings, |ring| verify(ring, 9).unwrap());
        each(&InProcess::group(world), |member| {
            verify(member, 9).unwrap()
        });
    }
}

#[test]
fn hundreds_of_operations_may_be_in_flight() {
    let rings = connect(&seats(2));
    let cases: Vec<_> = (0..600)
        .map(|seed| Case {
            elements: 33,
            op: ReduceOp::Sum,
            seed,
        })
        .collect();
    check::<i32, _>(&rings, &cases, |value| value as i32);
}
