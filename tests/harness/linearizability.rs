//! Whether what happened to a register could have come from one that does one thing at a time, each at a moment between
//! its call and its answer. Pure.
//!
//! The search is Wing and Gong's ("Testing and verifying concurrent objects", 1993) with Lowe's memory of what was tried
//! before ("Testing for linearizability", 2017): operations are put in order one by one, first those that were called
//! first; one that does not fit, or leads to what was seen before, is taken back.

use std::collections::HashSet;
use std::fmt;

/// What a register holds, if anything. A history in which every write has a value of its own proves most.
pub type Value = Option<u64>;

/// Operations that a violation shows: enough to see what went wrong.
const SHOWN: usize = 24;

/// What is done to a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Puts a value in the place of what was there; none deletes it.
    Write(Value),
    /// Finds this.
    Read(Value),
}

/// One operation of a history. Moments may be counted in anything that grows with time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Who asked for it; only shown.
    pub client: u64,
    /// What it does, or found.
    pub action: Action,
    /// When it was asked for.
    pub called: u64,
    /// When its answer came. Without one: from when on it can have no effect any more, or [`NEVER`].
    pub ended: u64,
    /// Whether an answer came. Without one it may have happened, or not.
    pub is_answered: bool,
}

/// The end of an operation that may have its effect at any time to come.
pub const NEVER: u64 = u64::MAX;

/// A history that no register could have had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What the register held at first.
    pub initial: Value,
    /// How many operations there are.
    pub operations: usize,
    /// The longest order that fits, as indexes.
    pub fits: Vec<usize>,
    /// What the register holds after them.
    pub holds: Value,
    /// The next ones after them, none of which fits, ordered by their calls.
    pub next: Vec<Operation>,
    /// The last ones of the order that fits.
    pub last: Vec<Operation>,
}

/// Whether there is an order of the operations that explains all of them, if the register held `initial` at first.
///
/// # Errors
/// If there is none: with the longest order that explains some of them.
pub fn check(initial: Value, operations: &[Operation]) -> Result<(), Violation> {
    Search::new(initial, operations).run()
}

/// What the register holds after `action`; none if it can't have happened.
fn applied(action: Action, holds: Value) -> Option<Value> {
    match action {
        Action::Write(value) => Some(value),
        Action::Read(found) => (found == holds).then_some(holds),
    }
}

/// An operation that was put in order.
struct Step {
    operation: usize,
    /// What the register held before it.
    before: Value,
    /// It was taken for one that did not happen.
    is_left_out: bool,
}

struct Search<'a> {
    initial: Value,
    operations: &'a [Operation],
    open: Timeline,
    ordered: Bits,
    holds: Value,
    steps: Vec<Step>,
    /// Which operations were in order before, whatever the order, and what the register held then.
    tried: HashSet<(Bits, Value)>,
    /// The most that was ever in order, and what was held then.
    most: (Vec<usize>, Value),
}

impl<'a> Search<'a> {
    fn new(initial: Value, operations: &'a [Operation]) -> Self {
        Self {
            initial,
            operations,
            open: Timeline::of(operations),
            ordered: Bits::none_of(operations.len()),
            holds: initial,
            steps: Vec::new(),
            tried: HashSet::new(),
            most: (Vec::new(), initial),
        }
    }

    fn run(mut self) -> Result<(), Violation> {
        let mut at = self.open.first();
        while let Some(Event { operation, is_call }) = self.open.event(at) {
            let Operation {
                action,
                is_answered,
                ..
            } = self.operations[operation];
            let next = match (is_call, is_answered) {
                (true, _) => applied(action, self.holds),
                // It can have no effect any more, so it had none.
                (false, false) => Some(self.holds),
                // It must have been put in order before its answer came.
                (false, true) => None,
            };
            if let Some(next) = next.filter(|next| self.is_new(operation, *next)) {
                self.put_in_order(operation, next, !is_call);
                at = self.open.first();
            } else if is_call {
                at = self.open.after(at);
            } else {
                self.note_most();
                at = self.take_back().ok_or_else(|| self.violation())?;
            }
        }
        Ok(())
    }

    fn is_new(&mut self, operation: usize, next: Value) -> bool {
        let mut ordered = self.ordered.clone();
        ordered.set(operation, true);
        self.tried.insert((ordered, next))
    }

    fn put_in_order(&mut self, operation: usize, next: Value, is_left_out: bool) {
        self.steps.push(Step {
            operation,
            before: self.holds,
            is_left_out,
        });
        self.ordered.set(operation, true);
        self.open.lift(operation);
        self.holds = next;
    }

    /// Takes the last operation back that could be followed by another choice; the place from which to look for it.
    fn take_back(&mut self) -> Option<usize> {
        loop {
            let Step {
                operation,
                before,
                is_left_out,
            } = self.steps.pop()?;
            self.ordered.set(operation, false);
            self.open.put_back(operation);
            self.holds = before;
            // To leave it out was the last choice there was.
            if !is_left_out {
                return Some(self.open.after(Timeline::call_of(operation)));
            }
        }
    }

    fn note_most(&mut self) {
        if self.steps.len() >= self.most.0.len() {
            let order = self.steps.iter().map(|step| step.operation).collect();
            self.most = (order, self.holds);
        }
    }

    fn violation(&mut self) -> Violation {
        let (fits, holds) = std::mem::take(&mut self.most);
        let mut ordered = Bits::none_of(self.operations.len());
        fits.iter()
            .for_each(|operation| ordered.set(*operation, true));
        let mut next: Vec<Operation> = (0..self.operations.len())
            .filter(|operation| !ordered.get(*operation))
            .map(|operation| self.operations[operation])
            .collect();
        next.sort_by_key(|operation| operation.called);
        next.truncate(SHOWN);
        let last = fits.iter().rev().take(SHOWN).rev();
        Violation {
            initial: self.initial,
            operations: self.operations.len(),
            holds,
            next,
            last: last.map(|operation| self.operations[*operation]).collect(),
            fits,
        }
    }
}

/// A call or an answer.
#[derive(Clone, Copy)]
struct Event {
    operation: usize,
    is_call: bool,
}

/// Calls and answers of what is not in order yet, by time: a list in a circle, whose place 0 is no event. The call of
/// operation `i` has place `2 i + 1`, its answer the one after.
struct Timeline {
    next: Vec<usize>,
    previous: Vec<usize>,
}

impl Timeline {
    fn of(operations: &[Operation]) -> Self {
        // At one moment calls come first: what may have been at the same time was.
        let mut places: Vec<(u64, bool, usize)> = Vec::with_capacity(2 * operations.len());
        for (index, operation) in operations.iter().enumerate() {
            places.push((operation.called, false, Self::call_of(index)));
            places.push((operation.ended, true, Self::call_of(index) + 1));
        }
        places.sort_unstable();
        let mut timeline = Self {
            next: vec![0; places.len() + 1],
            previous: vec![0; places.len() + 1],
        };
        let mut before = 0;
        for (_, _, place) in places {
            timeline.link(before, place);
            before = place;
        }
        timeline.link(before, 0);
        timeline
    }

    fn link(&mut self, before: usize, after: usize) {
        self.next[before] = after;
        self.previous[after] = before;
    }

    fn call_of(operation: usize) -> usize {
        2 * operation + 1
    }

    fn first(&self) -> usize {
        self.next[0]
    }

    fn after(&self, place: usize) -> usize {
        self.next[place]
    }

    /// None at the end, which is reached only when everything is in order: whatever was called has an end.
    fn event(&self, place: usize) -> Option<Event> {
        let index = place.checked_sub(1)?;
        Some(Event {
            operation: index / 2,
            is_call: index % 2 == 0,
        })
    }

    fn lift(&mut self, operation: usize) {
        let call = Self::call_of(operation);
        for place in [call, call + 1] {
            self.link_around(place);
        }
    }

    fn link_around(&mut self, place: usize) {
        let (before, after) = (self.previous[place], self.next[place]);
        self.link(before, after);
    }

    /// Undoes the last `lift` that was not undone.
    fn put_back(&mut self, operation: usize) {
        let call = Self::call_of(operation);
        for place in [call + 1, call] {
            let (before, after) = (self.previous[place], self.next[place]);
            self.next[before] = place;
            self.previous[after] = place;
        }
    }
}

/// A set of operations.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Bits(Vec<u64>);

impl Bits {
    fn none_of(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }

    fn get(&self, index: usize) -> bool {
        (self.0[index / 64] >> (index % 64)) & 1 == 1
    }

    fn set(&mut self, index: usize, is_in: bool) {
        let bit = 1 << (index % 64);
        if is_in {
            self.0[index / 64] |= bit;
        } else {
            self.0[index / 64] &= !bit;
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            client,
            action,
            called,
            ended,
            is_answered,
        } = self;
        let what = match action {
            Action::Write(Some(value)) => format!("writes {value}"),
            Action::Write(None) => "deletes".to_owned(),
            Action::Read(Some(value)) => format!("reads {value}"),
            Action::Read(None) => "reads nothing".to_owned(),
        };
        write!(f, "{called:>8} ")?;
        match (is_answered, *ended) {
            (true, ended) => write!(f, "to {ended:>8}")?,
            (false, NEVER) => write!(f, "no answer  ")?,
            (false, ended) => write!(f, "lost {ended:>6}")?,
        }
        write!(f, ": client {client} {what}")
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "no order explains the {} operations on a register that held {:?} at first; {} of them can be put in order, of which \
             the last are",
            self.operations,
            self.initial,
            self.fits.len()
        )?;
        for operation in &self.last {
            writeln!(f, "  {operation}")?;
        }
        writeln!(
            f,
            "then it holds {:?}, and none of these can be next:",
            self.holds
        )?;
        for operation in &self.next {
            writeln!(f, "  {operation}")?;
        }
        Ok(())
    }
}
