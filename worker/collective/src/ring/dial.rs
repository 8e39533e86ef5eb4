//! Reaching the next rank.

use std::io::{self, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

use crate::error::{CollectiveError, Failure};

use super::frame::{Frame, Hello, Inbox, Refusal};
use super::member::{Identity, Peer};

/// Pauses between tries: peers come up within milliseconds of each other, or not at all.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// After this long without an answer to a connection request, a new one is made.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// The way to the next rank; tries again until someone stops it.
#[derive(Debug)]
pub(super) struct Dial {
    next: Peer,
    hello: Vec<u8>,
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
    Greeting {
        stream: TcpStream,
        sent: usize,
    },
    /// The next rank answers when it builds its own part of the ring; that may take a while.
    AwaitingAnswer {
        stream: TcpStream,
        inbox: Inbox,
    },
    Joined {
        stream: TcpStream,
    },
}

impl Dial {
    pub(super) fn new(me: Identity, next: Peer, now: Instant) -> Self {
        let hello = Frame::Hello(Hello {
            sender: me,
            to: next.rank,
            to_incarnation: next.incarnation,
        })
        .encode();
        Self {
            next,
            hello,
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
            (Stage::AwaitingAnswer { .. }, _) => "it is connected but has not answered",
            (Stage::Connecting { .. }, None) => "it does not answer the connection request",
            (
                Stage::Pausing { .. }
                | Stage::Connecting { .. }
                | Stage::Greeting { .. }
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
            Stage::Connecting { stream, .. } | Stage::Greeting { stream, .. } => {
                Some((stream.as_fd(), PollFlags::OUT))
            }
            Stage::AwaitingAnswer { stream, .. } => Some((stream.as_fd(), PollFlags::IN)),
        }
    }

    /// The time that it waits for.
    pub(super) fn alarm(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Pausing { until } | Stage::Connecting { until, .. } => Some(*until),
            Stage::Greeting { .. } | Stage::AwaitingAnswer { .. } | Stage::Joined { .. } => None,
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
                let stream = begin_connect(self.next).map_err(Setback::passing)?;
                Ok(Moved::On(Stage::Connecting {
                    stream,
                    until: now + CONNECT_LIMIT,
                }))
            }
            Stage::Connecting { stream, until } => finish_connect(stream, until, now),
            Stage::Greeting { mut stream, sent } => match stream.write(&self.hello[sent..]) {
                Ok(more) if sent + more < self.hello.len() => Ok(Moved::On(Stage::Greeting {
                    stream,
                    sent: sent + more,
                })),
                Ok(_) => Ok(Moved::On(Stage::AwaitingAnswer {
                    stream,
                    inbox: Inbox::default(),
                })),
                Err(error) if is_pending(&error) => {
                    Ok(Moved::Not(Stage::Greeting { stream, sent }))
                }
                Err(error) => Err(Setback::passing(error)),
            },
            Stage::AwaitingAnswer {
                mut stream,
                mut inbox,
            } => match inbox.receive(&mut stream) {
                Ok(None) => Ok(Moved::Not(Stage::AwaitingAnswer { stream, inbox })),
                Ok(Some(Ok(Frame::Accepted))) => Ok(Moved::On(Stage::Joined { stream })),
                Ok(Some(Ok(Frame::Refused(Refusal {
                    is_temporary: true,
                    reason,
                })))) => Err(Setback::Passing(reason)),
                Ok(Some(Ok(Frame::Refused(Refusal {
                    is_temporary: false,
                    reason,
                })))) => Err(Setback::Final(reason)),
                Ok(Some(Ok(Frame::Hello(_)))) => Err(Setback::Final(
                    "it answered a hello with a hello".to_owned(),
                )),
                Ok(Some(Err(error))) => Err(Setback::Final(error.to_string())),
                Err(error) => Err(Setback::Passing(format!(
                    "it hung up during the handshake: {error}"
                ))),
            },
            Stage::Joined { .. } => Ok(Moved::Not(stage)),
        }
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

fn begin_connect(next: Peer) -> io::Result<TcpStream> {
    let family = if next.address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = socket_with(
        family,
        SocketType::STREAM,
        SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
        None,
    )?;
    match connect(&socket, &next.address) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn finish_connect(stream: TcpStream, until: Instant, now: Instant) -> Result<Moved, Setback> {
    if let Some(error) = stream.take_error().map_err(Setback::passing)? {
        return Err(Setback::passing(error));
    }
    match stream.peer_addr() {
        // A connection request to a free port of the own machine can meet itself (simultaneous open).
        Ok(peer) if stream.local_addr().is_ok_and(|own| own == peer) => {
            Err(Setback::Passing("nobody listens there".to_owned()))
        }
        Ok(_) => Ok(Moved::On(Stage::Greeting { stream, sent: 0 })),
        Err(_) if now < until => Ok(Moved::Not(Stage::Connecting { stream, until })),
        Err(_) => Err(Setback::Passing(format!(
            "no answer to the connection request within {CONNECT_LIMIT:?}"
        ))),
    }
}

fn is_pending(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
