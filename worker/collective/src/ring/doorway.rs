//! Letting the previous rank in, and nobody else.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use crate::error::{CollectiveError, Failure};

use super::frame::{Frame, FrameError, Hello, Inbox, Refusal};
use super::member::{Identity, Peer};

/// Handshakes at once. One is expected; leftovers of earlier attempts and strangers come on top.
const MAX_VISITORS: usize = 32;

/// A handshake is 200 bytes each way; who takes longer is not the previous rank.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);

/// Accepts connections and hears their hellos until the previous rank is among them.
#[derive(Debug)]
pub(super) struct Doorway<'a> {
    listener: &'a TcpListener,
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
    Answering {
        answer: Vec<u8>,
        sent: usize,
        admit: bool,
    },
}

enum Verdict {
    Pending,
    Admitted,
    Gone,
}

impl<'a> Doorway<'a> {
    pub(super) fn new(listener: &'a TcpListener, me: Identity, previous: Peer) -> Self {
        Self {
            listener,
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
                Stage::Listening(_) => PollFlags::IN,
                Stage::Answering { .. } => PollFlags::OUT,
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
            match &mut visitor.stage {
                Stage::Listening(inbox) => match inbox.receive(&mut visitor.stream) {
                    Ok(None) => return Verdict::Pending,
                    Ok(Some(frame)) => match self.answer(frame, visitor.address) {
                        Some((answer, admit)) => {
                            visitor.stage = Stage::Answering {
                                answer: answer.encode(),
                                sent: 0,
                                admit,
                            };
                        }
                        None => return Verdict::Gone,
                    },
                    Err(_) => return Verdict::Gone,
                },
                Stage::Answering {
                    answer,
                    sent,
                    admit,
                } => match visitor.stream.write(&answer[*sent..]) {
                    Ok(more) => {
                        *sent += more;
                        if *sent == answer.len() {
                            return if *admit {
                                Verdict::Admitted
                            } else {
                                Verdict::Gone
                            };
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        return Verdict::Pending;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => return Verdict::Gone,
                },
            }
        }
    }

    /// What to say to a visitor, and whether it comes in; strangers get no answer.
    fn answer(
        &mut self,
        frame: Result<Frame, FrameError>,
        address: SocketAddr,
    ) -> Option<(Frame, bool)> {
        let refusal = match frame {
            Ok(Frame::Hello(hello)) => match self.judge(&hello) {
                None => return Some((Frame::Accepted, true)),
                Some(refusal) => refusal,
            },
            Ok(Frame::Accepted | Frame::Refused(_)) => Refusal {
                is_temporary: false,
                reason: "a handshake begins with a hello".to_owned(),
            },
            Err(error @ FrameError::Version { .. }) => Refusal {
                is_temporary: false,
                reason: error.to_string(),
            },
            Err(error) => {
                tracing::debug!(%address, %error, "closed a stranger's connection");
                return None;
            }
        };
        tracing::warn!(%address, reason = %refusal.reason, "refused a connection to the ring");
        self.refused = Some(format!("{address}: {}", refusal.reason));
        Some((Frame::Refused(refusal), false))
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

/// Whether a failed `accept` says something about the one connection and nothing about the next.
fn is_of_the_visitor(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
