//! Time as data: it comes in with events and is never asked for.

use std::fmt;

/// A moment of the leader's own monotonic clock: milliseconds since the leader began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Milliseconds since the leader began.
    pub ms: u64,
}

impl Moment {
    /// The moment `ms` milliseconds after the leader began.
    #[must_use]
    pub fn from_ms(ms: u64) -> Self {
        Self { ms }
    }

    /// Milliseconds from `earlier` to this moment; 0 if it lies in the future.
    #[must_use]
    pub fn ms_since(self, earlier: Self) -> u64 {
        self.ms.saturating_sub(earlier.ms)
    }

    /// The moment `ms` milliseconds later.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self {
            ms: self.ms.saturating_add(ms),
        }
    }
}

/// A duration for people: "3.0 s".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds {
    /// The duration in milliseconds.
    pub ms: u64,
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} s", self.ms / 1_000, self.ms % 1_000 / 100)
    }
}
