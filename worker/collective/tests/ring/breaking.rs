//! How rings end: every wait returns, with the reason.

use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use convoy_collective::{
    AbortHandle, Collective, CollectiveError, Failure, HostBuffer, InProcess, OpTag, ReadyEvent,
    ReduceOp, SharedBuffer, TcpRing, Ticket,
};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::cable::{Cable, Fate};
use crate::world::{PATIENCE, connect, each, listener, peer, seats, without_hanging};

/// More than sockets hold, so that no rank can complete it alone.
const MANY: usize = 4 << 20;

fn tag(step: u64) -> OpTag {
    OpTag {
        generation: 1,
        step,
        phase: 0,
        bucket: 0,
    }
}

fn submit(
    collective: &dyn Collective,
    elements: usize,
    step: u64,
) -> Result<Ticket, CollectiveError> {
    let buffer = Arc::new(HostBuffer::new(vec![1f32; elements]));
    collective.submit(buffer, ReduceOp::Sum, tag(step), ReadyEvent::Immediate)
}

fn reduce(collective: &dyn Collective, elements: usize, step: u64) -> Result<(), CollectiveError> {
    collective.wait(submit(collective, elements, step)?)
}

/// A ring whose connection from rank 0 to rank 1 is a cable, which must hold during the handshake.
fn ring_with_cable(world: u32, bytes: usize, fate: Fate) -> (Vec<TcpRing>, Cable) {
    let mut seats = seats(world);
    let cable = Cable::lay(seats[1].listener.local_addr(), &[bytes], fate);
    seats[0].next.address = cable.address();
    (connect(&seats), cable)
}

#[test]
fn a_peer_that_leaves_between_operations_breaks_the_ring_at_once() {
    without_hanging(|| {
        let mut rings = connect(&seats(3));
        each(&rings, |ring| reduce(ring, 10, 0).unwrap());
        drop(rings.remove(1));
        for ring in &rings {
            let error = reduce(ring, MANY, 1).unwrap_err();
            assert!(
                matches!(error.failure(), Failure::PeerLost { .. }),
                "{error}"
            );
        }
    });
}

#[test]
fn the_error_names_rank_and_address_and_stays() {
    without_hanging(|| {
        let seats = seats(2);
        let address = seats[1].listener.local_addr();
        let mut rings = connect(&seats);
        drop(rings.remove(1));
        let first = reduce(&rings[0], MANY, 0).unwrap_err();
        assert!(
            first
                .to_string()
                .starts_with(&format!("lost rank 1 at {address} ")),
            "{first}"
        );
        rings[0].abort_handle().abort("too late to matter");
        let second = reduce(&rings[0], 1, 1).unwrap_err();
        assert!(first.is_same(&second), "{first} / {second}");
    });
}

#[test]
fn a_peer_that_dies_in_an_operation_breaks_it_everywhere() {
    without_hanging(|| {
        let (rings, _cable) = ring_with_cable(4, MANY, Fate::Cut);
        let errors = each(rings, |ring| reduce(&ring, MANY, 0).unwrap_err());
        for error in &errors {
            assert!(
                matches!(error.failure(), Failure::PeerLost { .. }),
                "{error}"
            );
        }
        // Whoever notices first blames the cable; the others may blame those who left because of it.
        let blamed = |rank: usize, other: u32| {
            let error = errors[rank].to_string();
            error.starts_with(&format!("lost rank {other} at 127.0.0.1"))
                && error.contains("in operation 0 (generation 1 ")
        };
        assert!(blamed(0, 1) || blamed(1, 0), "{errors:?}");
    });
}

#[test]
fn abort_ends_an_operation_that_is_stuck_and_gives_the_buffers_back() {
    without_hanging(|| {
        let (rings, cable) = ring_with_cable(2, MANY, Fate::Stall);
        let buffers: Vec<_> = (0..3)
            .map(|_| Arc::new(HostBuffer::new(vec![1f32; MANY])))
            .collect();
        let submit = |(step, buffer): (usize, &Arc<HostBuffer<f32>>)| {
            let lent: Arc<dyn SharedBuffer> = Arc::clone(buffer) as _;
            rings[0]
                .submit(lent, ReduceOp::Sum, tag(step as u64), ReadyEvent::Immediate)
                .unwrap()
        };
        let tickets: Vec<_> = buffers.iter().enumerate().map(submit).collect();
        let abort = rings[0].abort_handle();
        let errors = thread::scope(|scope| {
            scope.spawn(|| reduce(&rings[1], MANY, 0).unwrap_err());
            let waiting = scope.spawn(|| {
                tickets
                    .into_iter()
                    .map(|ticket| rings[0].wait(ticket).unwrap_err())
                    .collect()
            });
            let _ends = cable.wait_until_used_up();
            abort.abort("stop for attempt 3.6");
            abort.abort("another reason");
            let errors: Vec<CollectiveError> = waiting.join().unwrap();
            errors
        });
        assert!(errors.iter().all(|error| error.is_same(&errors[0])));
        assert_eq!(errors[0].to_string(), "aborted: stop for attempt 3.6");
        assert!(reduce(&rings[0], 1, 9).unwrap_err().is_same(&errors[0]));
        assert!(
            buffers
                .into_iter()
                .all(|buffer| Arc::into_inner(buffer).is_some())
        );
    });
}

#[test]
fn abort_ends_a_connect_in_progress() {
    without_hanging(|| {
        let mut seats = seats(2);
        // A next rank that takes the hello and never answers.
        let silent = TcpListener::bind(crate::world::loopback()).unwrap();
        seats[0].next.address = silent.local_addr().unwrap();
        let abort = seats[0].abort.clone();
        let connecting = thread::spawn(move || seats[0].connect(PATIENCE * 10).unwrap_err());
        let (mut stream, _) = silent.accept().unwrap();
        stream.read_exact(&mut [0; 14]).unwrap();
        abort.abort("stop for attempt 3.6");
        let error = connecting.join().unwrap();
        assert_eq!(error.to_string(), "aborted: stop for attempt 3.6");
    });
}

#[test]
fn an_abort_before_connect_counts() {
    let seat = &seats(2)[0];
    seat.abort.abort("stop for attempt 3.6");
    assert!(matches!(
        seat.connect(PATIENCE).unwrap_err().failure(),
        Failure::Aborted { .. }
    ));
}

#[test]
fn ranks_that_do_different_things_break_the_ring_naming_both() {
    without_hanging(|| {
        let rings = connect(&seats(2));
        let errors = each(&rings, |ring| {
            reduce(ring, MANY, u64::from(ring.rank().0) + 40)
                .unwrap_err()
                .to_string()
        });
        let (mine, theirs) = (
            "step 40 phase 0 bucket 0: sum of 4194304 f32",
            "step 41 phase 0 bucket 0: sum of 4194304 f32",
        );
        let explained = |error: &&String| {
            error.contains("out of step") && error.contains(mine) && error.contains(theirs)
        };
        assert!(errors.iter().find(explained).is_some(), "{errors:?}");
    });
}

#[test]
fn different_lengths_break_the_ring_naming_both() {
    without_hanging(|| {
        let rings = connect(&seats(2));
        let errors = each(&rings, |ring| {
            reduce(ring, 10 + ring.rank().0 as usize, 0)
                .unwrap_err()
                .to_string()
        });
        let explained =
            |error: &&String| error.contains("sum of 10 f32") && error.contains("sum of 11 f32");
        assert!(errors.iter().find(explained).is_some(), "{errors:?}");
    });
}

#[test]
fn dropping_a_ring_with_operations_in_flight_gives_their_buffers_back() {
    without_hanging(|| {
        let rings = connect(&seats(2));
        let buffer = Arc::new(HostBuffer::new(vec![1f32; MANY]));
        let ticket = rings[0]
            .submit(buffer.clone(), ReduceOp::Sum, tag(0), ReadyEvent::Immediate)
            .unwrap();
        drop(rings);
        drop(ticket);
        assert!(Arc::into_inner(buffer).is_some());
    });
}

#[test]
fn what_is_complete_stays_complete_after_the_end() {
    without_hanging(|| {
        let rings = connect(&seats(2));
        let tickets = each(&rings, |ring| {
            let first = submit(ring, 1_000, 0).unwrap();
            reduce(ring, 1_000, 1).unwrap();
            first
        });
        rings[0].abort_handle().abort("done");
        for (ring, ticket) in rings.iter().zip(tickets) {
            ring.wait(ticket).unwrap();
        }
    });
}

#[test]
fn a_rank_may_leave_as_soon_as_its_last_operation_is_complete() {
    without_hanging(|| {
        for round in 0..50 {
            let rings = connect(&seats(3));
            let ends = each(rings, |ring| reduce(&ring, 1 + 4_000 * round, 0));
            assert!(ends.iter().all(Result::is_ok), "{ends:?}");
        }
    });
}

#[test]
fn too_many_operations_in_flight_are_refused_and_break_nothing() {
    without_hanging(|| {
        let rings = connect(&seats(2));
        let tickets: Vec<_> = (0..4_096)
            .map(|step| submit(&rings[0], 1, step).unwrap())
            .collect();
        let error = submit(&rings[0], 1, 4_096).unwrap_err();
        assert_eq!(
            error.to_string(),
            "4096 operations are in flight already: wait for some of them first"
        );
        for step in 0..4_096 {
            reduce(&rings[1], 1, step).unwrap();
        }
        tickets
            .into_iter()
            .for_each(|ticket| rings[0].wait(ticket).unwrap());
    });
}

#[test]
fn a_ring_of_one_needs_no_neighbours_and_can_be_aborted() {
    let seat = &seats(1)[0];
    let ring = seat.connect(PATIENCE).unwrap();
    reduce(&ring, 100, 0).unwrap();
    seat.abort.abort("stop");
    assert_eq!(
        reduce(&ring, 100, 1).unwrap_err().to_string(),
        "aborted: stop"
    );
}

#[test]
fn abort_and_departure_break_a_group_in_one_process() {
    without_hanging(|| {
        let mut group = InProcess::group(3);
        let ticket = submit(&group[0], 10, 0).unwrap();
        let abort = group[1].abort_handle();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| group[0].wait(ticket).unwrap_err());
            abort.abort("stop");
            assert!(waiting.join().unwrap().to_string().contains("lost rank 1"));
        });
        assert_eq!(
            reduce(&group[1], 10, 0).unwrap_err().to_string(),
            "aborted: stop"
        );

        group = InProcess::group(2);
        drop(group.remove(1));
        assert!(
            reduce(&group[0], 10, 0)
                .unwrap_err()
                .to_string()
                .contains("lost rank 1")
        );
    });
}

#[test]
fn members_of_one_process_that_do_different_things_learn_of_both() {
    let group = InProcess::group(2);
    let _ticket = submit(&group[0], 10, 40).unwrap();
    let error = submit(&group[1], 10, 41).unwrap_err().to_string();
    assert!(
        error.contains("step 40") && error.contains("step 41"),
        "{error}"
    );
}

#[test]
fn nobody_there_is_told_after_the_deadline() {
    let listener = listener();
    let nobody = { crate::world::listener().local_addr() };
    let me = crate::world::identity(0, 2);
    let limit = std::time::Duration::from_millis(50);
    let abort = AbortHandle::new();
    let error = TcpRing::connect(
        &listener,
        me,
        peer(1, nobody),
        peer(1, nobody),
        limit,
        abort,
    )
    .unwrap_err()
    .to_string();
    assert!(
        error.contains(&format!(
            "next rank 1 at {nobody} is not reached (Connection refused"
        )),
        "{error}"
    );
    assert!(error.contains("previous rank 1"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, rng_seed: RngSeed::Fixed(2), ..ProptestConfig::default() })]

    #[test]
    fn wherever_a_connection_breaks_all_waits_end(world in 2u32..5, bytes in prop_oneof![120usize..600, 120usize..300_000]) {
        without_hanging(move || {
            let (rings, _cable) = ring_with_cable(world, bytes, Fate::Cut);
            let ends = each(rings, |ring| {
                (0..100).map(|step| reduce(&ring, 10_000, step)).find_map(Result::err)
            });
            assert!(ends.iter().all(Option::is_some));
        });
    }
}
