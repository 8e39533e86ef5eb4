//! An all-reduce group inside one process, for simulation and tests.
//!
//! Whoever submits last does the adding, in the order of ranks, so results don't depend on timing.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use convoy_common::ids::Rank;

use crate::abort::{AbortHandle, Wake};
use crate::buffer::SharedBuffer;
use crate::collective::{Collective, OpTag, ReadyEvent, Ticket};
use crate::element::{Elements, ReduceOp, reducer};
use crate::error::{CollectiveError, Failure};
use crate::operation::Header;

/// What stands where errors of a real ring name an address.
const ADDRESS: &str = "an address in this process";

/// One member of a group whose members are threads of this process. Dropping it breaks the group for the others.
pub struct InProcess {
    member: Arc<Member>,
}

/// In an `Arc` of its own, so that an abort can reach it.
struct Member {
    rank: Rank,
    group: Arc<Group>,
    abort: AbortHandle,
}

struct Group {
    world: u32,
    state: Mutex<State>,
    progressed: Condvar,
}

struct State {
    /// Operations that some ranks have submitted and some have not, oldest first.
    gathering: VecDeque<Gathering>,
    completed: u64,
    /// By rank.
    submitted: Vec<u64>,
    /// Where sums are made; in words for the sake of alignment.
    sums: Vec<u64>,
    broken: Option<Broken>,
}

struct Gathering {
    header: Header,
    opened_by: Rank,
    /// By rank.
    buffers: Vec<Option<Arc<dyn SharedBuffer>>>,
}

struct Broken {
    by: Rank,
    own: CollectiveError,
    others: CollectiveError,
}

impl InProcess {
    /// A group of `world` members, in the order of their ranks.
    #[must_use]
    pub fn group(world: u32) -> Vec<Self> {
        let state = State {
            gathering: VecDeque::new(),
            completed: 0,
            submitted: vec![0; world as usize],
            sums: Vec::new(),
            broken: None,
        };
        let group = Arc::new(Group {
            world,
            state: Mutex::new(state),
            progressed: Condvar::new(),
        });
        let member = |rank| {
            let abort = AbortHandle::new();
            let member = Arc::new(Member {
                rank: Rank(rank),
                group: Arc::clone(&group),
                abort,
            });
            let sleeper: Weak<Member> = Arc::downgrade(&member);
            member.abort.attach(sleeper as Weak<dyn Wake>);
            Self { member }
        };
        (0..world).map(member).collect()
    }
}

impl Collective for InProcess {
    fn submit(
        &self,
        buffer: Arc<dyn SharedBuffer>,
        op: ReduceOp,
        tag: OpTag,
        ready: ReadyEvent,
    ) -> Result<Ticket, CollectiveError> {
        match ready {
            ReadyEvent::Immediate => self.member.group.submit(self.member.rank, buffer, op, tag),
        }
    }

    fn wait(&self, ticket: Ticket) -> Result<(), CollectiveError> {
        self.member.group.wait(self.member.rank, ticket)
    }

    fn abort_handle(&self) -> AbortHandle {
        self.member.abort.clone()
    }

    fn rank(&self) -> Rank {
        self.member.rank
    }

    fn world(&self) -> u32 {
        self.member.group.world
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        let Member { rank, group, .. } = &*self.member;
        group.break_by(
            *rank,
            Failure::Closed {
                reason: "it was dropped".to_owned(),
            }
            .into(),
        );
    }
}

impl Wake for Member {
    fn wake(&self) {
        if let Some(error) = self.abort.error() {
            self.group.break_by(self.rank, error);
        }
    }
}

impl Group {
    fn submit(
        &self,
        rank: Rank,
        buffer: Arc<dyn SharedBuffer>,
        op: ReduceOp,
        tag: OpTag,
    ) -> Result<Ticket, CollectiveError> {
        let (dtype, elements) = (buffer.dtype(), buffer.len() as u64);
        let own = rank.0 as usize;
        let mut state = self.lock();
        state.check(rank)?;
        let sequence = state.submitted[own];
        let header = Header {
            sequence,
            tag,
            dtype,
            op,
            elements,
        };
        let place = (sequence - state.completed) as usize;
        if place == state.gathering.len() {
            let buffers = vec![None; self.world as usize];
            state.gathering.push_back(Gathering {
                header,
                opened_by: rank,
                buffers,
            });
        }
        let gathering = &mut state.gathering[place];
        if gathering.header != header {
            let error = out_of_step(gathering, &header);
            drop(state);
            self.break_by(rank, error.clone());
            return Err(error);
        }
        gathering.buffers[own] = Some(buffer);
        state.submitted[own] += 1;
        let result = state.reduce_if_complete();
        drop(state);
        match result {
            Ok(()) => self.progressed.notify_all(),
            Err(error) => self.break_by(rank, error),
        }
        Ok(Ticket(sequence))
    }

    fn wait(&self, rank: Rank, ticket: Ticket) -> Result<(), CollectiveError> {
        let Ticket(ticket) = ticket;
        let mut state = self.lock();
        let submitted = state.submitted[rank.0 as usize];
        if ticket >= submitted {
            return Err(Failure::ForeignTicket { ticket, submitted }.into());
        }
        while ticket >= state.completed {
            state.check(rank)?;
            state = self
                .progressed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Breaks the group, unless it is broken already.
    fn break_by(&self, by: Rank, own: CollectiveError) {
        let mut state = self.lock();
        state.gathering.clear();
        if state.broken.is_none() {
            let (during, how) = ("in its group".to_owned(), io::Error::other(own.to_string()));
            let others = Failure::PeerLost {
                rank: by,
                address: ADDRESS.to_owned(),
                during,
                how,
            }
            .into();
            state.broken = Some(Broken { by, own, others });
        }
        drop(state);
        self.progressed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn check(&self, rank: Rank) -> Result<(), CollectiveError> {
        match &self.broken {
            None => Ok(()),
            Some(broken) if broken.by == rank => Err(broken.own.clone()),
            Some(broken) => Err(broken.others.clone()),
        }
    }

    /// Completes the oldest operation if this was the last buffer it lacked.
    fn reduce_if_complete(&mut self) -> Result<(), CollectiveError> {
        let complete = |gathering: &mut Gathering| gathering.buffers.iter().all(Option::is_some);
        let Some(gathering) = self.gathering.pop_front_if(complete) else {
            return Ok(());
        };
        let Header {
            dtype,
            op,
            elements,
            ..
        } = gathering.header;
        let bytes = elements as usize * dtype.bytes();
        self.sums
            .resize(self.sums.len().max(bytes.div_ceil(size_of::<u64>())), 0);
        let sums: &mut [u8] = &mut bytemuck::cast_slice_mut(&mut self.sums)[..bytes];
        let reduce = reducer(dtype, op);
        for (rank, buffer) in gathering.buffers.iter().flatten().enumerate() {
            visit(&gathering.header, &**buffer, |values| match rank {
                0 => sums.copy_from_slice(values),
                _ => reduce(sums, values),
            })?;
        }
        for buffer in gathering.buffers.iter().flatten() {
            visit(&gathering.header, &**buffer, |values| {
                values.copy_from_slice(sums)
            })?;
        }
        self.completed += 1;
        Ok(())
    }
}

fn visit(
    header: &Header,
    buffer: &dyn SharedBuffer,
    mut use_bytes: impl FnMut(&mut [u8]),
) -> Result<(), CollectiveError> {
    let mut problem = Some("showed no elements".to_owned());
    buffer.with_elements(&mut |elements: Elements<'_>| {
        if elements.dtype() == header.dtype && elements.len() as u64 == header.elements {
            problem = None;
            use_bytes(elements.into_bytes());
        } else {
            problem = Some(format!(
                "turned out to hold {} {}",
                elements.len(),
                elements.dtype()
            ));
        }
    });
    match problem {
        None => Ok(()),
        Some(what) => Err(Failure::InvalidBuffer {
            operation: header.to_string(),
            what,
        }
        .into()),
    }
}

fn out_of_step(gathering: &Gathering, ours: &Header) -> CollectiveError {
    Failure::OutOfStep {
        rank: gathering.opened_by,
        address: ADDRESS.to_owned(),
        theirs: gathering.header.to_string(),
        ours: ours.to_string(),
    }
    .into()
}
