//! Reaching the next rank.

use std::io::{self, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use convoy_access::{ClusterKey, Nonce, Role};
use rustix::event::PollFlags;

use crate::error::{CollectiveError, Failure};

use super::connect::{CONNECT_LIMIT, Connected, begin_connect, finish_connect};
use super::frame::{Challenge, Frame, Hello, Inbox, Refusal, prove};
use super::member::{Identity, Peer};

/// Pauses between tries: peers come up within milliseconds of each other, or not at all.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// The way to the next rank; tries again until someone stops it.
#[derive(Debug)]
pub(super) struct Dial {
    next: Peer,
    me: Identity,
    /// The next rank must know it too, if there is one.
    key: Option<ClusterKey>,
    stage: Stage,
    pause: Duration,
    /// Why the last try failed.
    trouble: Option<String>,
}

#[derive(Debug)]
enum Stage {
    Pausing {
        until: Instant,
    },
    Connecting {
        stream: TcpStream,
        until: Instant,
    },
    Saying {
        stream: TcpStream,
        words: Words,
        sent: usize,
    },
    /// The next rank answers when it builds its own part of the ring; that may take a while.
    Hearing {
        stream: TcpStream,
        /// What it answers to.
        words: Words,
        inbox: Inbox,
    },
    Joined {
        stream: TcpStream,
    },
}

/// What is said to the next rank, as it goes over the wire.
#[derive(Debug)]
enum Words {
    Hello(Vec<u8>),
    /// The next rank has proved that it knows the key; so do we.
    Proof(Vec<u8>),
}

impl Words {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Hello(bytes) | Self::Proof(bytes) => bytes,
        }
    }
}

impl Dial {
    pub(super) fn new(me: Identity, next: Peer, key: Option<ClusterKey>, now: Instant) -> Self {
        Self {
            next,
            me,
            key,
            stage: Stage::Pausing { until: now },
            pause: FIRST_PAUSE,
            trouble: None,
        }
    }

    pub(super) fn is_joined(&self) -> bool {
        matches!(self.stage, Stage::Joined { .. })
    }

    /// The connection, if the next rank has agreed to it.
    pub(super) fn into_stream(self) -> Option<TcpStream> {
        if let Stage::Joined { stream } = self.stage {
            Some(stream)
        } else {
            None
        }
    }

    /// The rank that is not reached, and why.
    pub(super) fn missing(&self) -> String {
        let Peer { rank, address, .. } = self.next;
        let trouble = match (&self.stage, &self.trouble) {
            (Stage::Hearing { .. }, _) => "it is connected but has not answered",
            (Stage::Connecting { .. }, None) => "it does not answer the connection request",
            (
                Stage::Pausing { .. }
                | Stage::Connecting { .. }
                | Stage::Saying { .. }
                | Stage::Joined { .. },
                trouble,
            ) => trouble.as_deref().unwrap_or("it was not tried"),
        };
        format!("next rank {rank} at {address} is not reached ({trouble})")
    }

    /// The socket that it waits for.
    pub(super) fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        match &self.stage {
            Stage::Pausing { .. } | Stage::Joined { .. } => None,
            Stage::Connecting { stream, .. } | Stage::Saying { stream, .. } => {
                Some((stream.as_fd(), PollFlags::OUT))
            }
            Stage::Hearing { stream, .. } => Some((stream.as_fd(), PollFlags::IN)),
        }
    }

    /// The time that it waits for.
    pub(super) fn alarm(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Pausing { until } | Stage::Connecting { until, .. } => Some(*until),
            Stage::Saying { .. } | Stage::Hearing { .. } | Stage::Joined { .. } => None,
        }
    }

    /// Goes as far as it can now.
    ///
    /// # Errors
    /// The next rank has refused for good.
    pub(super) fn step(&mut self, now: Instant) -> Result<(), CollectiveError> {
        loop {
            let stage = std::mem::replace(&mut self.stage, Stage::Pausing { until: now });
            let moved = match self.advance(stage, now) {
                Ok(moved) => moved,
                Err(Setback::Final(reason)) => {
                    let Peer { rank, address, .. } = self.next;
                    return Err(Failure::Refused {
                        rank,
                        address,
                        reason,
                    }
                    .into());
                }
                Err(Setback::Passing(trouble)) => {
                    self.trouble = Some(trouble);
                    self.stage = Stage::Pausing {
                        until: now + self.pause,
                    };
                    self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                    return Ok(());
                }
            };
            match moved {
                Moved::On(stage) => self.stage = stage,
                Moved::Not(stage) => {
                    self.stage = stage;
                    return Ok(());
                }
            }
        }
    }

    fn advance(&self, stage: Stage, now: Instant) -> Result<Moved, Setback> {
        match stage {
            Stage::Pausing { until } if now < until => Ok(Moved::Not(stage)),
            Stage::Pausing { .. } => {
                let stream = begin_connect(self.next.address).map_err(Setback::passing)?;
                Ok(Moved::On(Stage::Connecting {
                    stream,
                    until: now + CONNECT_LIMIT,
                }))
            }
            Stage::Connecting { stream, until } => {
                match finish_connect(stream).map_err(Setback::passing)? {
                    Connected::Yes(stream) => {
                        let words = Words::Hello(self.hello().map_err(Setback::passing)?);
                        Ok(Moved::On(saying(stream, words)))
                    }
                    Connected::NotYet(stream) if now < until => {
                        Ok(Moved::Not(Stage::Connecting { stream, until }))
                    }
                    Connected::NotYet(_) => Err(Setback::Passing(format!(
                        "no answer to the connection request within {CONNECT_LIMIT:?}"
                    ))),
                }
            }
            Stage::Saying {
                mut stream,
                words,
                sent,
            } => match write_on(&mut stream, words.bytes(), sent)? {
                Written::All => Ok(Moved::On(Stage::Hearing {
                    stream,
                    words,
                    inbox: Inbox::default(),
                })),
                Written::Part(sent) => Ok(Moved::Not(Stage::Saying {
                    stream,
                    words,
                    sent,
                })),
            },
            Stage::Hearing {
                mut stream,
                words,
                mut inbox,
            } => match read_on(&mut stream, &mut inbox)? {
                None => Ok(Moved::Not(Stage::Hearing {
                    stream,
                    words,
                    inbox,
                })),
                Some(answer) => self.answered(stream, &words, answer).map(Moved::On),
            },
            Stage::Joined { .. } => Ok(Moved::Not(stage)),
        }
    }

    /// Drawn anew for each connection.
    fn hello(&self) -> io::Result<Vec<u8>> {
        let nonce = self.key.as_ref().map(|_| Nonce::fresh()).transpose()?;
        let hello = Hello {
            sender: self.me.clone(),
            to: self.next.rank,
            to_incarnation: self.next.incarnation,
            nonce,
        };
        Ok(Frame::Hello(hello).encode())
    }

    /// What follows from an answer.
    fn answered(&self, stream: TcpStream, said: &Words, answer: Frame) -> Result<Stage, Setback> {
        match (answer, said, &self.key) {
            (Frame::Accepted, Words::Hello(_), None) | (Frame::Accepted, Words::Proof(_), _) => {
                Ok(Stage::Joined { stream })
            }
            (Frame::Accepted, Words::Hello(_), Some(_)) => Err(Setback::Final(
                "it did not prove that it knows the cluster key: give its worker the same --cluster-key FILE".to_owned(),
            )),
            (Frame::Challenge(Challenge { nonce, proof }), Words::Hello(hello), Some(key)) => {
                // In constant time.
                if proof != prove(key, Role::Listener, hello, &nonce) {
                    return Err(Setback::Final(
                        "its cluster key is not the one of this worker".to_owned(),
                    ));
                }
                let proof = prove(key, Role::Dialer, hello, &nonce);
                Ok(saying(stream, Words::Proof(Frame::Proof(proof).encode())))
            }
            (Frame::Refused(Refusal { is_temporary: true, reason }), _, _) => {
                Err(Setback::Passing(reason))
            }
            (Frame::Refused(Refusal { is_temporary: false, reason }), _, _) => {
                Err(Setback::Final(reason))
            }
            (Frame::Hello(_) | Frame::Challenge(_) | Frame::Proof(_), _, _) => Err(Setback::Final(
                "it answered what no listener says at this point".to_owned(),
            )),
        }
    }
}

fn saying(stream: TcpStream, words: Words) -> Stage {
    Stage::Saying {
        stream,
        words,
        sent: 0,
    }
}

enum Written {
    All,
    /// So many bytes by now.
    Part(usize),
}

fn write_on(stream: &mut TcpStream, bytes: &[u8], sent: usize) -> Result<Written, Setback> {
    match stream.write(&bytes[sent..]) {
        Ok(more) if sent + more < bytes.len() => Ok(Written::Part(sent + more)),
        Ok(_) => Ok(Written::All),
        Err(error) if is_pending(&error) => Ok(Written::Part(sent)),
        Err(error) => Err(Setback::passing(error)),
    }
}

fn read_on(stream: &mut TcpStream, inbox: &mut Inbox) -> Result<Option<Frame>, Setback> {
    match inbox.receive(stream) {
        Ok(None) => Ok(None),
        Ok(Some(Ok(frame))) => Ok(Some(frame)),
        Ok(Some(Err(error))) => Err(Setback::Final(error.to_string())),
        Err(error) => Err(Setback::Passing(format!(
            "it hung up during the handshake: {error}"
        ))),
    }
}

enum Moved {
    On(Stage),
    Not(Stage),
}

enum Setback {
    /// Worth another try.
    Passing(String),
    /// No later try of this attempt can succeed.
    Final(String),
}

impl Setback {
    fn passing(error: io::Error) -> Self {
        Self::Passing(error.to_string())
    }
}

fn is_pending(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
