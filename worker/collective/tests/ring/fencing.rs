//! Who is let into a ring.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use convoy_collective::{
    AbortHandle, CollectiveError, Failure, Identity, Peer, RingListener, TcpRing, verify,
};
use convoy_common::ids::{Incarnation, JobId};

use crate::cable::{Cable, Fate};
use crate::world::{
    PATIENCE, Seat, attempt, connect, each, identity, listener, seats, without_hanging,
};

/// A member of a ring of two as it would be, but for `change`.
fn impostor(of: &Seat, change: impl FnOnce(&mut Identity, &mut Peer)) -> Seat {
    let (mut me, mut next) = (of.me.clone(), of.next);
    change(&mut me, &mut next);
    Seat {
        listener: listener(),
        me,
        next,
        previous: of.previous,
        abort: AbortHandle::new(),
    }
}

/// Rank 0 waits for rank 1; the impostor is sent away; the right rank 1 still gets in.
fn refused(change: impl FnOnce(&mut Identity, &mut Peer) + Send + 'static) -> String {
    without_hanging(move || {
        let seats = seats(2);
        let impostor = impostor(&seats[1], change);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| seats[0].connect(PATIENCE));
            let error = impostor.connect(PATIENCE).unwrap_err();
            assert!(
                matches!(error.failure(), Failure::Refused { .. }),
                "{error}"
            );
            let right = seats[1].connect(PATIENCE).unwrap();
            let rings = [waiting.join().unwrap().unwrap(), right];
            each(&rings, |ring| verify(ring, 1).unwrap());
            error.to_string()
        })
    })
}

#[test]
fn an_older_attempt_is_refused_and_the_right_one_still_gets_in() {
    let error = refused(|me, _| me.attempt = attempt(4));
    assert!(error.contains("rank 0 at 127.0.0.1"), "{error}");
    assert!(error.contains("attempt 3.4 came, 3.5 expected"), "{error}");
}

#[test]
fn another_job_is_refused_and_the_right_one_still_gets_in() {
    let error = refused(|me, _| me.job = JobId::try_from("cifar-7".to_owned()).unwrap());
    assert!(
        error.contains("job cifar-7 came, fashion-1 expected"),
        "{error}"
    );
}

#[test]
fn an_earlier_life_is_refused_and_the_right_one_still_gets_in() {
    let error = refused(|me, _| me.incarnation = Incarnation(7));
    assert!(
        error.contains("incarnation 7 came, 101 expected"),
        "{error}"
    );
}

#[test]
fn who_means_an_earlier_life_is_refused() {
    let error = refused(|_, next| next.incarnation = Incarnation(8));
    assert!(
        error.contains("a connection to incarnation 8 came, 100 expected"),
        "{error}"
    );
}

#[test]
fn another_world_is_refused() {
    // Rank 1 of 3 expects the same previous rank, but its next one is rank 2.
    let error = refused(|me, next| {
        me.world = 3;
        next.rank = convoy_common::ids::Rank(2);
    });
    assert!(error.contains("world 3 came, 2 expected"), "{error}");
    assert!(
        error.contains("a connection to rank 2 came, 0 expected"),
        "{error}"
    );
}

#[test]
fn who_waited_in_vain_names_whom_it_refused() {
    without_hanging(|| {
        let seats = seats(2);
        let impostor = impostor(&seats[1], |me, _| me.attempt = attempt(4));
        thread::scope(|scope| {
            scope.spawn(|| impostor.connect(PATIENCE).unwrap_err());
            let error = seats[0].connect(Duration::from_secs(1)).unwrap_err();
            assert!(
                matches!(error.failure(), Failure::NotConnected { .. }),
                "{error}"
            );
            assert!(error.to_string().contains("previous rank 1"), "{error}");
            assert!(
                error.to_string().contains("attempt 3.4 came, 3.5 expected"),
                "{error}"
            );
        });
    });
}

#[test]
fn a_neighbour_that_is_behind_is_tried_until_it_catches_up() {
    without_hanging(|| {
        let mut seats = seats(2);
        seats[1].me.attempt = attempt(6);
        let mut behind = seats.remove(0);
        let ahead = seats.remove(0);
        thread::scope(|scope| {
            let ahead = scope.spawn(|| ahead.connect(PATIENCE));
            // Still in the old attempt, which the other one is through with, until it hears of the new one.
            let error = behind.connect(PATIENCE).unwrap_err();
            assert!(
                error.to_string().contains("attempt 3.5 came, 3.6 expected"),
                "{error}"
            );
            behind.me.attempt = attempt(6);
            let rings = [
                behind.connect(PATIENCE).unwrap(),
                ahead.join().unwrap().unwrap(),
            ];
            each(&rings, |ring| verify(ring, 1).unwrap());
        });
    });
}

#[test]
fn strangers_do_not_keep_the_right_one_out() {
    without_hanging(|| {
        let seats = seats(2);
        let address = seats[0].listener.local_addr();
        let mut strangers: Vec<_> = (0..40)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        for (number, stranger) in strangers.iter_mut().enumerate() {
            match number % 4 {
                0 => stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap(),
                1 => stranger
                    .write_all(b"CNVYRING\x02\x00\x01\x00\xff\xff")
                    .unwrap(),
                2 => stranger
                    .write_all(b"CNVYRING\x02\x00\x01\x00\x02\x00no")
                    .unwrap(),
                _ => stranger
                    .write_all(b"CNVYRING\x09\x00\x01\x00\x02\x00no")
                    .unwrap(),
            }
        }
        let rings = connect(&seats);
        each(&rings, |ring| verify(ring, 1).unwrap());
        let mut answer = Vec::new();
        strangers[3].read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.contains("ring protocol version 9 came, 2 expected"),
            "{answer}"
        );
    });
}

#[test]
fn a_connection_that_breaks_in_its_handshake_is_made_again() {
    without_hanging(|| {
        for bytes in [0, 1, 20, 60] {
            let mut seats = seats(2);
            let cable = Cable::lay(
                seats[1].listener.local_addr(),
                &[bytes, usize::MAX],
                Fate::Cut,
            );
            seats[0].next.address = cable.address();
            let rings = connect(&seats);
            each(&rings, |ring| verify(ring, 1).unwrap());
        }
    });
}

#[test]
fn one_listener_serves_attempt_after_attempt() {
    let mut seats = seats(3);
    for counter in 1..6 {
        seats
            .iter_mut()
            .for_each(|seat| seat.me.attempt = attempt(counter));
        let rings = connect(&seats);
        each(&rings, |ring| verify(ring, counter).unwrap());
    }
}

#[test]
fn peers_may_come_up_at_different_times() {
    without_hanging(|| {
        let mut seats = seats(3);
        // The last one is not even listening when the others start.
        let address = seats[2].listener.local_addr();
        let late = seats.remove(2);
        let Seat {
            listener,
            me,
            next,
            previous,
            abort,
        } = late;
        drop(listener);
        thread::scope(|scope| {
            let early: Vec<_> = seats
                .iter()
                .map(|seat| scope.spawn(|| seat.connect(PATIENCE)))
                .collect();
            let listener = RingListener::bind(address).unwrap();
            let ring = Seat {
                listener,
                me,
                next,
                previous,
                abort,
            }
            .connect(PATIENCE)
            .unwrap();
            let early = early
                .into_iter()
                .map(|thread| thread.join().unwrap().unwrap());
            let rings: Vec<_> = early.chain([ring]).collect();
            each(&rings, |ring| verify(ring, 1).unwrap());
        });
    });
}

#[test]
fn neighbours_that_do_not_fit_are_refused_before_anything_is_sent() {
    let connect = |rank, world, neighbours: (usize, usize)| -> CollectiveError {
        let seats = seats(3);
        let (next, previous) = (seats[neighbours.0].next, seats[neighbours.1].next);
        let me = identity(rank, world);
        TcpRing::connect(
            &seats[0].listener,
            me,
            next,
            previous,
            PATIENCE,
            AbortHandle::new(),
        )
        .unwrap_err()
    };
    let error = connect(3, 3, (0, 1)).to_string();
    assert!(
        error.contains("rank 3 is not below the world of 3"),
        "{error}"
    );
    let error = connect(0, 3, (1, 0)).to_string();
    assert!(
        error.contains("the neighbours of rank 0 of 3 are 1 and 2, not 2 and 1"),
        "{error}"
    );
}
