//! What a log should hold, by the simplest means: all states that a crash may leave.

use convoy_journal::{Entry, HardState, Position, Recovered, SnapshotMeta};

/// The log after some record.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct State {
    pub(crate) hard_state: HardState,
    pub(crate) start: Position,
    pub(crate) entries: Vec<Entry>,
}

impl State {
    pub(crate) fn last(&self) -> Position {
        self.entries.last().map_or(self.start, position)
    }

    pub(crate) fn term_at(&self, index: u64) -> Option<u64> {
        if index == self.start.index {
            return Some(self.start.term);
        }
        let place = index.checked_sub(self.start.index + 1)?;
        self.entries.get(place as usize).map(|entry| entry.term)
    }

    /// The states on the way of one append, the last one being its result.
    pub(crate) fn appended(&self, hard_state: Option<HardState>, entries: &[Entry]) -> Vec<Self> {
        let mut states = Vec::new();
        let mut now = self.clone();
        let before = entries
            .first()
            .map_or(self.last().index, |first| first.index - 1);
        if let Some(wanted) = hard_state {
            now.hard_state = HardState {
                commit: wanted.commit.min(before),
                ..wanted
            };
            states.push(now.clone());
        }
        for entry in entries {
            now.entries.retain(|old| old.index < entry.index);
            now.entries.push(entry.clone());
            states.push(now.clone());
        }
        if let Some(wanted) = hard_state {
            now.hard_state = wanted;
            states.push(now.clone());
        }
        states
    }

    /// The log begins after `start`.
    pub(crate) fn restarted(&self, start: Position) -> Self {
        let mut after = self.clone();
        if self.term_at(start.index) == Some(start.term) {
            after.entries.retain(|entry| entry.index > start.index);
        } else {
            after.entries.clear();
        }
        after.start = start;
        after
    }

    /// What opening this log beside that snapshot should give; None if the two can't be found together.
    pub(crate) fn recovered(&self, snapshot: Option<&SnapshotMeta>) -> Option<Self> {
        let Some(meta) = snapshot else {
            return (self.start.index == 0).then(|| self.clone());
        };
        if meta.index < self.start.index {
            return None;
        }
        let mut found = self.clone();
        if self.term_at(meta.index) != Some(meta.term) {
            found = found.restarted(meta.position());
        }
        let term = found.last().term.max(meta.term);
        if term > found.hard_state.term {
            found.hard_state.term = term;
            found.hard_state.vote = 0;
        }
        let least = found.start.index.max(meta.index);
        found.hard_state.commit = found.hard_state.commit.max(least);
        Some(found)
    }
}

pub(crate) fn position(entry: &Entry) -> Position {
    Position {
        index: entry.index,
        term: entry.term,
    }
}

/// Everything that a crash may leave, now.
pub(crate) struct Model {
    /// The newest state last; all of them since the last sync.
    pub(crate) states: Vec<State>,
    /// The newest snapshot, and those that may have come in its place.
    pub(crate) snapshots: Vec<Option<SnapshotMeta>>,
}

impl Model {
    pub(crate) fn new() -> Self {
        Self {
            states: vec![State::default()],
            snapshots: vec![None],
        }
    }

    pub(crate) fn now(&self) -> &State {
        &self.states[self.states.len() - 1]
    }

    /// Records were or may have been written.
    pub(crate) fn wrote(&mut self, states: Vec<State>) {
        self.states.extend(states);
    }

    /// Everything so far is durable.
    pub(crate) fn synced(&mut self) {
        self.states.drain(..self.states.len() - 1);
    }

    /// Goes on from what was found, if it is one of the possible states.
    pub(crate) fn accept(&mut self, found: &Recovered) -> Result<(), String> {
        if !self.snapshots.contains(&found.snapshot) {
            return Err(format!(
                "snapshot {:?} is none of {:?}",
                found.snapshot, self.snapshots
            ));
        }
        let seen = State {
            hard_state: found.hard_state,
            start: found.start,
            entries: found.entries.clone(),
        };
        let snapshot = found.snapshot.as_ref();
        let mut possible = self.states.iter().rev();
        let Some(state) = possible.find(|state| state.recovered(snapshot).as_ref() == Some(&seen))
        else {
            let states: Vec<String> = self.states.iter().map(brief).collect();
            return Err(format!("{} is none of {states:#?}", brief(&seen)));
        };
        // What was raised is not written down; the next open raises it again.
        let hard_state = state.hard_state;
        self.states = vec![State { hard_state, ..seen }];
        self.snapshots = vec![found.snapshot.clone()];
        Ok(())
    }
}

fn brief(state: &State) -> String {
    let entries: Vec<(u64, u64)> = state
        .entries
        .iter()
        .map(|entry| (entry.index, entry.term))
        .collect();
    format!(
        "{:?} after {:?}: {entries:?}",
        state.hard_state, state.start
    )
}
