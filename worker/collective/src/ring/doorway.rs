//! Letting the previous rank in, and nobody else.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use convoy_access::{ClusterKey, Nonce, Proof, Role};
use rustix::event::PollFlags;

use crate::error::{CollectiveError, Failure};

use super::frame::{Challenge, Frame, FrameError, Hello, Inbox, Refusal, prove};
use super::member::{Identity, Peer, RingListener};

/// Handshakes at once. One is expected; leftovers of earlier attempts and strangers come on top.
const MAX_VISITORS: usize = 32;

/// A handshake is 200 bytes each way; who takes longer is not the previous rank.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);

/// Accepts connections and hears their hellos until the previous rank is among them.
#[derive(Debug)]
pub(super) struct Doorway<'a> {
    listener: &'a TcpListener,
    /// Who comes must know it, if there is one.
    key: Option<&'a ClusterKey>,
    me: Identity,
    previous: Peer,
    visitors: Vec<Visitor>,
    admitted: Option<TcpStream>,
    /// The last one that was sent away, and why.
    refused: Option<String>,
}

#[derive(Debug)]
struct Visitor {
    stream: TcpStream,
    address: SocketAddr,
    until: Instant,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Listening(Inbox),
    /// It hears our proof.
    Challenging {
        challenge: Vec<u8>,
        sent: usize,
        expected: Expected,
    },
    /// We wait for its own.
    AwaitingProof {
        inbox: Inbox,
        expected: Expected,
    },
    Answering {
        answer: Vec<u8>,
        sent: usize,
        admit: bool,
    },
}

/// What a visitor has yet to prove, and what it said.
#[derive(Clone, Debug)]
struct Expected {
    hello: Hello,
    proof: Proof,
}

enum Verdict {
    Pending,
    Admitted,
    Gone,
}

impl<'a> Doorway<'a> {
    pub(super) fn new(listener: &'a RingListener, me: Identity, previous: Peer) -> Self {
        Self {
            listener: listener.listener(),
            key: listener.key(),
            me,
            previous,
            visitors: Vec::new(),
            admitted: None,
            refused: None,
        }
    }

    pub(super) fn has_admitted(&self) -> bool {
        self.admitted.is_some()
    }

    /// The connection of the previous rank, if it came.
    pub(super) fn into_stream(self) -> Option<TcpStream> {
        self.admitted
    }

    /// The rank that has not come, and who came instead.
    pub(super) fn missing(&self) -> String {
        let Peer { rank, address, .. } = self.previous;
        let refused = self
            .refused
            .as_deref()
            .map(|refused| format!(" (last refused: {refused})"));
        format!(
            "previous rank {rank} at {address} has not connected{}",
            refused.unwrap_or_default()
        )
    }

    /// The sockets that it waits for.
    pub(super) fn interests(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let visitors = self.visitors.iter().map(|visitor| {
            let wanted = match visitor.stage {
                Stage::Listening(_) | Stage::AwaitingProof { .. } => PollFlags::IN,
                Stage::Challenging { .. } | Stage::Answering { .. } => PollFlags::OUT,
            };
            (visitor.stream.as_fd(), wanted)
        });
        // With no room for more, the next one waits in the backlog.
        let listener =
            (self.visitors.len() < MAX_VISITORS).then(|| (self.listener.as_fd(), PollFlags::IN));
        visitors.chain(listener)
    }

    /// The time that it waits for.
    pub(super) fn alarm(&self) -> Option<Instant> {
        self.visitors.iter().map(|visitor| visitor.until).min()
    }

    /// Goes as far as it can now.
    ///
    /// # Errors
    /// The listener does not work any more.
    pub(super) fn step(&mut self, now: Instant) -> Result<(), CollectiveError> {
        self.accept(now)?;
        for mut visitor in std::mem::take(&mut self.visitors) {
            match self.hear(&mut visitor) {
                // A second connection of the previous rank means that it has given up the first.
                Verdict::Admitted => self.admitted = Some(visitor.stream),
                Verdict::Pending if now < visitor.until => self.visitors.push(visitor),
                Verdict::Pending | Verdict::Gone => {}
            }
        }
        Ok(())
    }

    fn accept(&mut self, now: Instant) -> Result<(), CollectiveError> {
        while self.visitors.len() < MAX_VISITORS {
            match self.listener.accept() {
                Ok((stream, address)) => {
                    if stream
                        .set_nonblocking(true)
                        .and_then(|()| stream.set_nodelay(true))
                        .is_ok()
                    {
                        let stage = Stage::Listening(Inbox::default());
                        self.visitors.push(Visitor {
                            stream,
                            address,
                            until: now + HANDSHAKE_LIMIT,
                            stage,
                        });
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if is_of_the_visitor(&error) => {}
                Err(source) => {
                    let operation = "accept ring neighbours".to_owned();
                    return Err(Failure::System { operation, source }.into());
                }
            }
        }
        Ok(())
    }

    fn hear(&mut self, visitor: &mut Visitor) -> Verdict {
        loop {
            let next = match &mut visitor.stage {
                Stage::Listening(inbox) => match inbox.receive(&mut visitor.stream) {
                    Ok(None) => return Verdict::Pending,
                    Ok(Some(frame)) => self.greeted(frame, visitor.address),
                    Err(_) => None,
                },
                Stage::Challenging {
                    challenge,
                    sent,
                    expected,
                } => match write_on(&mut visitor.stream, challenge, sent) {
                    Ok(false) => return Verdict::Pending,
                    Ok(true) => Some(Stage::AwaitingProof {
                        inbox: Inbox::default(),
                        expected: expected.clone(),
                    }),
                    Err(_) => None,
                },
                Stage::AwaitingProof { inbox, expected } => {
                    match inbox.receive(&mut visitor.stream) {
                        Ok(None) => return Verdict::Pending,
                        Ok(Some(frame)) => {
                            let expected = expected.clone();
                            Some(self.proved(frame, &expected, visitor.address))
                        }
                        Err(_) => None,
                    }
                }
                Stage::Answering {
                    answer,
                    sent,
                    admit,
                } => match write_on(&mut visitor.stream, answer, sent) {
                    Ok(false) => return Verdict::Pending,
                    Ok(true) if *admit => return Verdict::Admitted,
                    Ok(true) | Err(_) => None,
                },
            };
            match next {
                Some(stage) => visitor.stage = stage,
                None => return Verdict::Gone,
            }
        }
    }

    /// What to say to a visitor first; strangers get no answer.
    fn greeted(&mut self, frame: Result<Frame, FrameError>, address: SocketAddr) -> Option<Stage> {
        let hello = match frame {
            Ok(Frame::Hello(hello)) => hello,
            Ok(Frame::Accepted | Frame::Refused(_) | Frame::Challenge(_) | Frame::Proof(_)) => {
                let reason = "a handshake begins with a hello".to_owned();
                return Some(self.refuse(Refusal::for_good(reason), address));
            }
            Err(error @ FrameError::Version { .. }) => {
                return Some(self.refuse(Refusal::for_good(error.to_string()), address));
            }
            Err(error) => {
                tracing::debug!(%address, %error, "closed a stranger's connection");
                return None;
            }
        };
        let refusal = match (self.key, hello.nonce) {
            (None, None) => return Some(self.judged(&hello, address)),
            (Some(key), Some(_)) => match challenge(key, hello) {
                Ok(stage) => return Some(stage),
                Err(error) => Refusal {
                    is_temporary: true,
                    reason: format!("it can draw no random number: {error}"),
                },
            },
            (Some(_), None) => Refusal::for_good(
                "a proof of the cluster key is needed, and none was offered: give that worker the same --cluster-key FILE"
                    .to_owned(),
            ),
            (None, Some(_)) => Refusal::for_good(
                "a proof of the cluster key was asked for, and this worker has none: give it the same --cluster-key FILE"
                    .to_owned(),
            ),
        };
        Some(self.refuse(refusal, address))
    }

    /// What to say to a visitor that was asked for its proof. Until then it learns nothing about this ring.
    fn proved(
        &mut self,
        frame: Result<Frame, FrameError>,
        expected: &Expected,
        address: SocketAddr,
    ) -> Stage {
        // In constant time.
        if matches!(frame, Ok(Frame::Proof(proof)) if proof == expected.proof) {
            return self.judged(&expected.hello, address);
        }
        let reason = "the cluster key of that worker is not the one of this one".to_owned();
        self.refuse(Refusal::for_good(reason), address)
    }

    fn judged(&mut self, hello: &Hello, address: SocketAddr) -> Stage {
        match self.judge(hello) {
            None => answering(&Frame::Accepted, true),
            Some(refusal) => self.refuse(refusal, address),
        }
    }

    fn refuse(&mut self, refusal: Refusal, address: SocketAddr) -> Stage {
        tracing::warn!(%address, reason = %refusal.reason, "refused a connection to the ring");
        self.refused = Some(format!("{address}: {}", refusal.reason));
        answering(&Frame::Refused(refusal), false)
    }

    /// Why this visitor is not the previous rank of this ring.
    fn judge(&self, hello: &Hello) -> Option<Refusal> {
        let (came, me) = (&hello.sender, &self.me);
        let mut differences = Vec::new();
        let mut compare =
            |what: &str, came: &dyn std::fmt::Display, expected: &dyn std::fmt::Display| {
                let (came, expected) = (came.to_string(), expected.to_string());
                if came != expected {
                    differences.push(format!("{what} {came} came, {expected} expected"));
                }
            };
        compare("job", &came.job, &me.job);
        compare("attempt", &came.attempt, &me.attempt);
        compare("world", &came.world, &me.world);
        compare("rank", &came.rank, &self.previous.rank);
        compare("incarnation", &came.incarnation, &self.previous.incarnation);
        compare("a connection to rank", &hello.to, &me.rank);
        compare(
            "a connection to incarnation",
            &hello.to_incarnation,
            &me.incarnation,
        );
        let is_temporary = came.job == me.job && came.attempt > me.attempt;
        (!differences.is_empty()).then(|| Refusal {
            is_temporary,
            reason: differences.join("; "),
        })
    }
}

fn answering(answer: &Frame, admit: bool) -> Stage {
    Stage::Answering {
        answer: answer.encode(),
        sent: 0,
        admit,
    }
}

/// Proves that this side knows the key, and says what the other must prove.
fn challenge(key: &ClusterKey, hello: Hello) -> io::Result<Stage> {
    let nonce = Nonce::fresh()?;
    let said = Frame::Hello(hello.clone()).encode();
    let challenge = Challenge {
        nonce,
        proof: prove(key, Role::Listener, &said, &nonce),
    };
    let proof = prove(key, Role::Dialer, &said, &nonce);
    Ok(Stage::Challenging {
        challenge: Frame::Challenge(challenge).encode(),
        sent: 0,
        expected: Expected { hello, proof },
    })
}

/// Goes on writing; true once all is written.
fn write_on(stream: &mut TcpStream, bytes: &[u8], sent: &mut usize) -> io::Result<bool> {
    while *sent < bytes.len() {
        match stream.write(&bytes[*sent..]) {
            Ok(more) => *sent += more,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Whether a failed `accept` says something about the one connection and nothing about the next.
fn is_of_the_visitor(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
