//! The messages of the handshake.
//!
//! Without a cluster key it is `Hello -> Accepted | Refused`. With one it is `Hello -> Challenge -> Proof -> Accepted |
//! Refused`: the hello and the challenge carry a number each, the challenge proves that the listening side knows the key,
//! and the proof that the connecting side does, both over the whole hello and both numbers.
//!
//! A frame is a header of 14 bytes (magic, version, kind, a zero, length of the body, a zero; little-endian) and a body.
//! The layout of the header is the same in every version, so that versions can refuse each other in words.

use std::io::{self, Read};
use std::net::TcpStream;

use convoy_access::{ClusterKey, NONCE_BYTES, Nonce, PROOF_BYTES, Proof, Role};
use convoy_common::ids::{Attempt, Incarnation, JobId, Rank};

use super::member::Identity;

const MAGIC: [u8; 8] = *b"CNVYRING";

/// Raised whenever frames, operation headers or the order of segments change.
pub(super) const PROTOCOL_VERSION: u16 = 2;

const HEADER_BYTES: usize = 14;

/// A hello with the longest job id has 205 bytes; the rest is for the text of a refusal.
const MAX_BODY_BYTES: usize = 1_024;

/// What is said before a connection belongs to a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// The connecting side names itself and whom it means.
    Hello(Hello),
    /// The listening side agrees.
    Accepted,
    /// The listening side does not.
    Refused(Refusal),
    /// The listening side knows the cluster key, and wants the same of the other.
    Challenge(Challenge),
    /// The connecting side knows the cluster key.
    Proof(Proof),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) sender: Identity,
    /// The rank that it wants to reach,
    pub(super) to: Rank,
    /// and the life of that rank's process.
    pub(super) to_incarnation: Incarnation,
    /// There is a cluster key, and the answer shall prove it.
    pub(super) nonce: Option<Nonce>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    pub(super) nonce: Nonce,
    pub(super) proof: Proof,
}

/// The proof of one side, over all that both have said before: the bytes of the hello, and the number of the challenge.
pub(super) fn prove(key: &ClusterKey, role: Role, hello: &[u8], challenge: &Nonce) -> Proof {
    let version = PROTOCOL_VERSION.to_le_bytes();
    key.prove(role, &[b"ring", &version, hello, &challenge.0])
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The refusing side has not come as far as the attempt of the other, but may soon: worth another try.
    pub(super) is_temporary: bool,
    /// Everything that differs, with both values.
    pub(super) reason: String,
}

impl Refusal {
    pub(super) fn for_good(reason: String) -> Self {
        Self {
            is_temporary: false,
            reason,
        }
    }
}

/// Why received bytes are no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("it does not speak Convoy's ring protocol")]
    Stranger,
    #[error(
        "ring protocol version {theirs} came, {PROTOCOL_VERSION} expected: run the same build everywhere"
    )]
    Version { theirs: u16 },
    #[error("its handshake message has {bytes} bytes, at most {MAX_BODY_BYTES} are allowed")]
    TooLong { bytes: usize },
    #[error("its handshake message of kind {kind} makes no sense")]
    Malformed { kind: u8 },
}

impl Frame {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(MAX_BODY_BYTES);
        let kind = match self {
            Self::Hello(hello) => {
                put_hello(&mut body, hello);
                1
            }
            Self::Accepted => 2,
            Self::Refused(refusal) => {
                body.push(u8::from(refusal.is_temporary));
                let reason = &refusal.reason;
                body.extend_from_slice(
                    &reason.as_bytes()[..reason.floor_char_boundary(MAX_BODY_BYTES - 1)],
                );
                3
            }
            Self::Challenge(Challenge { nonce, proof }) => {
                body.extend_from_slice(&nonce.0);
                body.extend_from_slice(proof.as_bytes());
                4
            }
            Self::Proof(proof) => {
                body.extend_from_slice(proof.as_bytes());
                5
            }
        };
        let length = u16::try_from(body.len()).unwrap_or(u16::MAX);
        let mut frame = Vec::with_capacity(HEADER_BYTES + body.len());
        frame.extend_from_slice(&MAGIC);
        frame.extend_from_slice(&PROTOCOL_VERSION.to_le_bytes());
        frame.extend_from_slice(&[kind, 0]);
        frame.extend_from_slice(&length.to_le_bytes());
        frame.extend_from_slice(&body);
        frame
    }

    fn decode(header: &[u8; HEADER_BYTES], body: &[u8]) -> Result<Self, FrameError> {
        let theirs = u16::from_le_bytes([header[8], header[9]]);
        if theirs != PROTOCOL_VERSION {
            return Err(FrameError::Version { theirs });
        }
        let kind = header[10];
        let frame = match (kind, body) {
            (1, body) => take_hello(body).map(Self::Hello),
            (2, []) => Some(Self::Accepted),
            (3, [is_temporary, reason @ ..]) => std::str::from_utf8(reason).ok().map(|reason| {
                Self::Refused(Refusal {
                    is_temporary: *is_temporary == 1,
                    reason: reason.to_owned(),
                })
            }),
            (4, mut body) => take_challenge(&mut body).map(Self::Challenge),
            (5, body) => body.try_into().ok().map(Proof::from_bytes).map(Self::Proof),
            _ => None,
        };
        frame.ok_or(FrameError::Malformed { kind })
    }
}

fn put_hello(body: &mut Vec<u8>, hello: &Hello) {
    let Identity {
        job,
        attempt,
        rank,
        world,
        incarnation,
    } = &hello.sender;
    body.extend_from_slice(&attempt.term.to_le_bytes());
    body.extend_from_slice(&attempt.counter.to_le_bytes());
    body.extend_from_slice(&rank.0.to_le_bytes());
    body.extend_from_slice(&world.to_le_bytes());
    body.extend_from_slice(&incarnation.0.to_le_bytes());
    body.extend_from_slice(&hello.to.0.to_le_bytes());
    body.extend_from_slice(&hello.to_incarnation.0.to_le_bytes());
    match &hello.nonce {
        Some(nonce) => {
            body.push(1);
            body.extend_from_slice(&nonce.0);
        }
        None => body.push(0),
    }
    body.extend_from_slice(job.as_str().as_bytes());
}

fn take_hello(mut body: &[u8]) -> Option<Hello> {
    let body = &mut body;
    let attempt = Attempt {
        term: take_u64(body)?,
        counter: take_u64(body)?,
    };
    let (rank, world) = (Rank(take_u32(body)?), take_u32(body)?);
    let incarnation = Incarnation(take_u64(body)?);
    let (to, to_incarnation) = (Rank(take_u32(body)?), Incarnation(take_u64(body)?));
    let nonce = match body.split_off_first()? {
        0 => None,
        1 => Some(take_nonce(body)?),
        _ => return None,
    };
    let job = JobId::try_from(std::str::from_utf8(body).ok()?.to_owned()).ok()?;
    Some(Hello {
        sender: Identity {
            job,
            attempt,
            rank,
            world,
            incarnation,
        },
        to,
        to_incarnation,
        nonce,
    })
}

fn take_challenge(body: &mut &[u8]) -> Option<Challenge> {
    let nonce = take_nonce(body)?;
    let proof: [u8; PROOF_BYTES] = (*body).try_into().ok()?;
    Some(Challenge {
        nonce,
        proof: Proof::from_bytes(proof),
    })
}

fn take_nonce(body: &mut &[u8]) -> Option<Nonce> {
    body.split_off(..NONCE_BYTES)?.try_into().ok().map(Nonce)
}

fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    bytes
        .split_off(..8)?
        .try_into()
        .ok()
        .map(u64::from_le_bytes)
}

fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    bytes
        .split_off(..4)?
        .try_into()
        .ok()
        .map(u32::from_le_bytes)
}

/// Collects a frame from a non-blocking socket, never reading past its end.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
}

impl Inbox {
    /// The frame, once it is complete.
    pub(super) fn receive(
        &mut self,
        stream: &mut TcpStream,
    ) -> io::Result<Option<Result<Frame, FrameError>>> {
        loop {
            let missing = match self.missing() {
                Ok(0) => return Ok(Some(self.frame())),
                Ok(missing) => missing,
                Err(error) => return Ok(Some(Err(error))),
            };
            let filled = self.bytes.len();
            self.bytes.resize(filled + missing, 0);
            let received = stream.read(&mut self.bytes[filled..]);
            self.bytes
                .truncate(filled + received.as_ref().map_or(0, |bytes| *bytes));
            match received {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Bytes that the frame, or first its header, still lacks.
    fn missing(&self) -> Result<usize, FrameError> {
        let known = self.bytes.len().min(MAGIC.len());
        if self.bytes[..known] != MAGIC[..known] {
            return Err(FrameError::Stranger);
        }
        if self.bytes.len() < HEADER_BYTES {
            return Ok(HEADER_BYTES - self.bytes.len());
        }
        let body = usize::from(u16::from_le_bytes([self.bytes[12], self.bytes[13]]));
        if body > MAX_BODY_BYTES {
            return Err(FrameError::TooLong { bytes: body });
        }
        Ok(HEADER_BYTES + body - self.bytes.len())
    }

    fn frame(&self) -> Result<Frame, FrameError> {
        match self.bytes.split_first_chunk::<HEADER_BYTES>() {
            Some((header, body)) => Frame::decode(header, body),
            None => Err(FrameError::Stranger),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    fn parse(bytes: &[u8]) -> Option<Result<Frame, FrameError>> {
        let mut inbox = Inbox {
            bytes: bytes.to_vec(),
        };
        match inbox.missing() {
            Ok(0) => Some(inbox.frame()),
            Ok(missing) => {
                inbox.bytes.resize(bytes.len() + missing, 0);
                None
            }
            Err(error) => Some(Err(error)),
        }
    }

    fn hello(nonce: Option<Nonce>) -> Frame {
        let job = JobId::try_from("j".repeat(128)).unwrap();
        let attempt = Attempt {
            term: 7,
            counter: 8,
        };
        let sender = Identity {
            job,
            attempt,
            rank: Rank(1),
            world: 4,
            incarnation: Incarnation(99),
        };
        Frame::Hello(Hello {
            sender,
            to: Rank(2),
            to_incarnation: Incarnation(100),
            nonce,
        })
    }

    #[test]
    fn frames_survive_the_wire() {
        let refused = Frame::Refused(Refusal {
            is_temporary: true,
            reason: "attempt: 1.1 came, 1.2 expected".to_owned(),
        });
        let nonce = Nonce([3; NONCE_BYTES]);
        let proof = Proof::from_bytes([4; PROOF_BYTES]);
        let challenge = Frame::Challenge(Challenge { nonce, proof });
        let frames = [
            hello(None),
            hello(Some(nonce)),
            Frame::Accepted,
            refused,
            challenge,
            Frame::Proof(proof),
        ];
        for frame in frames {
            assert_eq!(parse(&frame.encode()), Some(Ok(frame)));
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let refused = Frame::Refused(Refusal {
            is_temporary: false,
            reason: "ä".repeat(1_000),
        });
        let parsed = parse(&refused.encode()).unwrap().unwrap();
        let Frame::Refused(refusal) = parsed else {
            panic!("another frame: {parsed:?}")
        };
        assert_eq!(refusal.reason, "ä".repeat(511));
    }

    #[test]
    fn another_version_and_oversized_bodies_are_named() {
        let mut bytes = hello(None).encode();
        bytes[8] = 9;
        assert_eq!(parse(&bytes), Some(Err(FrameError::Version { theirs: 9 })));
        bytes[13] = 0xff;
        assert!(matches!(
            parse(&bytes),
            Some(Err(FrameError::TooLong { .. }))
        ));
        assert_eq!(parse(b"GET / HTTP/1.1"), Some(Err(FrameError::Stranger)));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_from_outside_cause_a_panic(kind in 0u8..7, body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = Frame::Accepted.encode();
            bytes[10] = kind;
            bytes[12] = u8::try_from(body.len()).unwrap();
            bytes.extend(body);
            let _ = parse(&bytes);
            let _ = parse(&bytes[8..]);
        }
    }
}
