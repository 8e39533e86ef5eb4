//! Rings of a cluster that has a key.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::thread;
use std::time::Duration;

use convoy_access::{Access, ClusterKey};
use convoy_collective::{AbortHandle, CollectiveError, Failure, RingListener, verify};

use crate::world::{PATIENCE, Seat, attempt, connect, each, loopback, seats_with, without_hanging};

/// Header of a handshake frame: magic, version, kind, a zero, length.
const HEADER_BYTES: usize = 14;
const CHALLENGE: u8 = 4;
const PROOF: u8 = 5;

fn keyed(first: u8) -> Access {
    let secret: [u8; 32] = std::array::from_fn(|at| first.wrapping_add(at as u8));
    Access::Keyed(ClusterKey::new(&secret).unwrap())
}

fn listener(access: &Access) -> RingListener {
    RingListener::bind_within(loopback().ip(), 0..=0, access).unwrap()
}

/// Rank 1 of a ring of two, with another key or none.
fn impostor(of: &Seat, access: &Access) -> Seat {
    Seat {
        listener: listener(access),
        me: of.me.clone(),
        next: of.next,
        previous: of.previous,
        abort: AbortHandle::new(),
    }
}

/// Rank 0 has one key, rank 1 another or none: the reason that rank 1 hears. The right rank 1 still gets in.
fn refused(ours: &Access, theirs: &Access) -> String {
    let (ours, theirs) = (ours.clone(), theirs.clone());
    without_hanging(move || {
        let seats = seats_with(2, || listener(&ours));
        let impostor = impostor(&seats[1], &theirs);
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
fn members_with_the_same_key_form_ring_after_ring() {
    let access = keyed(1);
    let mut seats = seats_with(3, || listener(&access));
    for counter in 1..4 {
        seats
            .iter_mut()
            .for_each(|seat| seat.me.attempt = attempt(counter));
        let rings = connect(&seats);
        each(&rings, |ring| verify(ring, counter).unwrap());
    }
}

#[test]
fn member_of_another_cluster_notices_it_first() {
    let error = refused(&keyed(1), &keyed(2));
    assert!(
        error.contains("its cluster key is not the one of this worker"),
        "{error}"
    );
}

#[test]
fn member_without_the_key_is_refused_and_told_what_to_do() {
    let error = refused(&keyed(1), &Access::Loopback);
    assert!(
        error.contains("a proof of the cluster key is needed, and none was offered")
            && error.contains("--cluster-key FILE"),
        "{error}"
    );
}

#[test]
fn member_with_a_key_does_not_join_a_ring_without_one() {
    let error = refused(&Access::Loopback, &keyed(1));
    assert!(
        error.contains("a proof of the cluster key was asked for, and this worker has none"),
        "{error}"
    );
}

#[test]
fn what_differs_is_told_once_the_key_is_proved() {
    without_hanging(|| {
        let access = keyed(1);
        let seats = seats_with(2, || listener(&access));
        let mut late = impostor(&seats[1], &access);
        late.me.attempt = attempt(4);
        thread::scope(|scope| {
            scope.spawn(|| seats[0].connect(Duration::from_secs(1)).unwrap_err());
            let error = late.connect(PATIENCE).unwrap_err();
            assert!(
                error.to_string().contains("attempt 3.4 came, 3.5 expected"),
                "{error}"
            );
        });
    });
}

/// A next rank that answers every hello with `answer`, made of the bytes of that hello.
fn false_rank(answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind(loopback()).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let Some(hello) = read_frame(&mut stream) else {
                return;
            };
            let _ = stream.write_all(&answer(&hello));
            // Until the other side is through with it.
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    address
}

fn read_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut frame = vec![0; HEADER_BYTES];
    stream.read_exact(&mut frame).ok()?;
    let body = usize::from(u16::from_le_bytes([frame[12], frame[13]]));
    frame.resize(HEADER_BYTES + body, 0);
    stream.read_exact(&mut frame[HEADER_BYTES..]).ok()?;
    Some(frame)
}

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = b"CNVYRING\x02\x00".to_vec();
    frame.extend([kind, 0]);
    frame.extend(u16::try_from(body.len()).unwrap().to_le_bytes());
    frame.extend(body);
    frame
}

fn deceived(answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> CollectiveError {
    without_hanging(move || {
        let access = keyed(1);
        let mut seat = seats_with(2, || listener(&access)).remove(1);
        seat.next.address = false_rank(answer);
        seat.connect(PATIENCE).unwrap_err()
    })
}

#[test]
fn next_rank_that_proves_nothing_is_not_believed() {
    let error = deceived(|_| frame(2, &[]));
    assert!(
        error
            .to_string()
            .contains("did not prove that it knows the cluster key"),
        "{error}"
    );
    let error = deceived(|_| frame(CHALLENGE, &[9; 64]));
    assert!(
        error.to_string().contains("its cluster key is not the one"),
        "{error}"
    );
}

#[test]
fn next_rank_that_only_passes_on_what_it_hears_is_not_believed() {
    // Another member is asked for a proof with our hello; it is of another ring, but has the key. What it proves to the
    // false rank it proves for a hello with its own names, not for ours.
    let error = without_hanging(|| {
        let access = keyed(1);
        let honest = seats_with(2, || listener(&access));
        let target = honest[0].listener.local_addr();
        let mut victim = seats_with(2, || listener(&access)).remove(1);
        victim.next.address = false_rank(move |hello| {
            let mut asked = TcpStream::connect(target).unwrap();
            let mut other = hello.to_vec();
            // Another attempt: one bit of its counter.
            other[HEADER_BYTES + 8] ^= 1;
            asked.write_all(&other).unwrap();
            read_frame(&mut asked).unwrap()
        });
        thread::scope(|scope| {
            scope.spawn(|| honest[0].connect(Duration::from_secs(2)).unwrap_err());
            victim.connect(PATIENCE).unwrap_err()
        })
    });
    assert!(
        error.to_string().contains("its cluster key is not the one"),
        "{error}"
    );
}

/// What rank 0 answers to a visitor that says `speech` frame by frame, hearing an answer after each.
fn spoken_to(speech: impl Fn(&mut TcpStream) -> Vec<u8> + Send + 'static) -> String {
    without_hanging(move || {
        let access = keyed(1);
        let seats = seats_with(2, || listener(&access));
        let address = seats[0].listener.local_addr();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| seats[0].connect(PATIENCE));
            let answer = speech(&mut TcpStream::connect(address).unwrap());
            let right = seats[1].connect(PATIENCE).unwrap();
            let rings = [waiting.join().unwrap().unwrap(), right];
            each(&rings, |ring| verify(ring, 1).unwrap());
            String::from_utf8_lossy(&answer).into_owned()
        })
    })
}

/// The hello of the right rank 1 to rank 0, as it goes over the wire, and what it answers to the challenge that follows.
fn recorded() -> (Vec<u8>, Vec<u8>) {
    without_hanging(|| {
        let access = keyed(1);
        let mut seats = seats_with(2, || listener(&access));
        let target = seats[0].listener.local_addr();
        let tap = TcpListener::bind(loopback()).unwrap();
        seats[1].next.address = tap.local_addr().unwrap();
        let (send, record) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let (mut from, _) = tap.accept().unwrap();
            let mut to = TcpStream::connect(target).unwrap();
            let hello = read_frame(&mut from).unwrap();
            to.write_all(&hello).unwrap();
            from.write_all(&read_frame(&mut to).unwrap()).unwrap();
            let proof = read_frame(&mut from).unwrap();
            to.write_all(&proof).unwrap();
            send.send((hello, proof)).unwrap();
            let mut back = (to.try_clone().unwrap(), from.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut back.0, &mut back.1));
            let _ = std::io::copy(&mut from, &mut to);
        });
        let rings = connect(&seats);
        each(&rings, |ring| verify(ring, 1).unwrap());
        record.recv().unwrap()
    })
}

#[test]
fn recorded_handshake_lets_nobody_in() {
    let (hello, proof) = recorded();
    assert_eq!(proof[10], PROOF);
    let answer = spoken_to(move |stream| {
        stream.write_all(&hello).unwrap();
        assert_eq!(read_frame(stream).unwrap()[10], CHALLENGE);
        stream.write_all(&proof).unwrap();
        read_frame(stream).unwrap()
    });
    assert!(
        answer.contains("the cluster key of that worker is not the one"),
        "{answer}"
    );
}

#[test]
fn proof_of_the_listener_handed_back_lets_nobody_in() {
    let (hello, _) = recorded();
    let answer = spoken_to(move |stream| {
        stream.write_all(&hello).unwrap();
        let challenge = read_frame(stream).unwrap();
        let its_proof = &challenge[HEADER_BYTES + 32..];
        stream.write_all(&frame(PROOF, its_proof)).unwrap();
        read_frame(stream).unwrap()
    });
    assert!(
        answer.contains("the cluster key of that worker is not the one"),
        "{answer}"
    );
}

#[test]
fn stranger_learns_nothing_about_the_ring() {
    let answer = spoken_to(|stream| {
        // A well-formed hello without an offer to prove anything: attempt, ranks and incarnations are made up.
        let mut body = vec![0; 16 + 4 + 4 + 8 + 4 + 8];
        body.push(0);
        body.extend(b"guess-1");
        stream.write_all(&frame(1, &body)).unwrap();
        read_frame(stream).unwrap()
    });
    assert!(
        answer.contains("a proof of the cluster key is needed"),
        "{answer}"
    );
    for secret in ["fashion", "expected", "attempt"] {
        assert!(!answer.contains(secret), "{answer}");
    }
}

#[test]
fn off_loopback_a_listener_needs_a_key_or_a_word() {
    let any: SocketAddr = ([0, 0, 0, 0], 0).into();
    let error = RingListener::bind(any).unwrap_err();
    assert!(matches!(error.failure(), Failure::Open(_)), "{error}");
    assert!(error.to_string().contains("--cluster-key FILE"), "{error}");
    for access in [keyed(1), Access::Insecure] {
        RingListener::bind_within(any.ip(), 0..=0, &access).unwrap();
    }
}

#[test]
fn each_worker_takes_a_free_port_of_the_range() {
    let host = loopback().ip();
    let bind = |range: &RangeInclusive<u16>| {
        RingListener::bind_within(host, range.clone(), &Access::Loopback)
    };
    // Other processes take ports as well.
    let (range, _both) = (0..100)
        .find_map(|_| {
            let start = RingListener::bind(loopback()).unwrap().local_addr().port();
            let range = start..=start.checked_add(1)?;
            let both = [bind(&range).ok()?, bind(&range).ok()?];
            let ports = both.each_ref().map(|listener| listener.local_addr().port());
            (ports == [start, start + 1]).then_some((range, both))
        })
        .unwrap();
    let error = bind(&range).unwrap_err();
    let text = format!("any port from {} to {}", range.start(), range.end());
    assert!(error.to_string().contains(&text), "{error}");
}
