//! What the worker does in its newest attempt.

use convoy_common::ids::{Generation, StepIndex};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Heard nothing yet.
    Idle,
    /// Left its group, or lost it.
    Stopped,
    /// Builds the group of the adopted attempt.
    Building { start: StepIndex },
    /// The group stands.
    Ready { start: StepIndex },
    /// Trains this generation.
    Training { generation: Generation },
    /// Did everything there was to do.
    Done,
}

impl Phase {
    /// Whether a group stands or is being built.
    pub(crate) fn has_group(self) -> bool {
        match self {
            Self::Building { .. } | Self::Ready { .. } | Self::Training { .. } | Self::Done => true,
            Self::Idle | Self::Stopped => false,
        }
    }

    /// The running generation; 0 where none runs.
    pub(crate) fn generation(self) -> Generation {
        match self {
            Self::Training { generation } => generation,
            Self::Idle
            | Self::Stopped
            | Self::Building { .. }
            | Self::Ready { .. }
            | Self::Done => Generation::default(),
        }
    }
}
