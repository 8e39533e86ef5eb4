//! Reads between their arrival and their answer.
//!
//! Reads that arrive together share one round of heartbeats. A read never joins a round that began before it; at the leader
//! it waits for the end of that, so that the more reads there are the more share the next.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::error::Rejected;
use crate::output::ReadId;
use crate::payload::Author;

/// Bytes of a round's name: replica, life, number. No other replica, life or round has the same.
const NAME_BYTES: usize = 24;

#[derive(Debug)]
struct Round {
    reads: Vec<Waiting>,
    /// Sent in this tick.
    sent: u64,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    id: ReadId,
    /// Arrived in this tick.
    since: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Reads {
    waiting: Vec<Waiting>,
    rounds: BTreeMap<u64, Round>,
    newest_round: u64,
    answered: Vec<(ReadId, Result<u64, Rejected>)>,
}

impl Reads {
    pub(crate) fn wait(&mut self, id: ReadId, now: u64) {
        self.waiting.push(Waiting { id, since: now });
    }

    pub(crate) fn reject(&mut self, id: ReadId, why: Rejected) {
        self.answered.push((id, Err(why)));
    }

    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether a round is under way.
    pub(crate) fn has_round(&self) -> bool {
        !self.rounds.is_empty()
    }

    /// All that waits begins a round: its name.
    pub(crate) fn begin_round(&mut self, author: Author, now: u64) -> Bytes {
        self.newest_round += 1;
        let round = Round {
            reads: std::mem::take(&mut self.waiting),
            sent: now,
        };
        self.rounds.insert(self.newest_round, round);
        let mut name = BytesMut::with_capacity(NAME_BYTES);
        name.put_u64(author.replica);
        name.put_u64(author.life);
        name.put_u64(self.newest_round);
        name.freeze()
    }

    /// A majority confirmed the round with this name, if it is one of ours.
    pub(crate) fn confirm(&mut self, author: Author, mut name: &[u8], index: u64) {
        if name.len() != NAME_BYTES
            || name.get_u64() != author.replica
            || name.get_u64() != author.life
        {
            return;
        }
        let Some(round) = self.rounds.remove(&name.get_u64()) else {
            return;
        };
        let answers = round.reads.iter().map(|read| (read.id, Ok(index)));
        self.answered.extend(answers);
    }

    /// All that waits is answered as if it had been confirmed.
    pub(crate) fn confirm_waiting(&mut self, index: u64) {
        let waiting = self.waiting.drain(..);
        self.answered
            .extend(waiting.map(|read| (read.id, Ok(index))));
    }

    /// Reads of rounds that may be lost wait again: all of them after a change of leader, else those sent too long ago.
    pub(crate) fn retry(&mut self, is_sent_before: impl Fn(u64) -> bool) {
        let waiting = &mut self.waiting;
        self.rounds.retain(|_, round| {
            let is_lost = is_sent_before(round.sent);
            if is_lost {
                waiting.append(&mut round.reads);
            }
            !is_lost
        });
    }

    /// Reads that arrived `ticks` ago are given up.
    pub(crate) fn expire(&mut self, now: u64, ticks: u64) {
        let answered = &mut self.answered;
        let mut keep = |read: &Waiting| {
            let is_kept = now < read.since + ticks;
            if !is_kept {
                answered.push((read.id, Err(Rejected::TimedOut { ticks })));
            }
            is_kept
        };
        self.waiting.retain(&mut keep);
        self.rounds.retain(|_, round| {
            round.reads.retain(&mut keep);
            !round.reads.is_empty()
        });
    }

    pub(crate) fn take_answered(&mut self) -> Vec<(ReadId, Result<u64, Rejected>)> {
        std::mem::take(&mut self.answered)
    }
}
