//! Limits on what the state may hold, each with its reason. Limits on messages are in `convoy_common::limits`.

/// Jobs that are not over: each is looked at after every event.
pub const MAX_OPEN_JOBS: usize = 1_000;

/// Clients whose last submission is remembered. The one that has been quiet for longest is forgotten first.
pub const MAX_CLIENTS: usize = 10_000;

/// Lives of a node's agent that are remembered as replaced, so that an old agent that comes back is told so.
pub const MAX_RETIRED_AGENTS: usize = 16;

/// Evaluations kept of a job. Older ones are in the workers' logs; a view with all of them would outgrow a message.
pub const MAX_EVALUATIONS: usize = 1_000;

/// Checkpoints kept of a job. Older ones stay on disk, each with its own manifest.
pub const MAX_CHECKPOINTS: usize = 32;

/// Slices that are collected for checkpoints of one job: one checkpoint is in flight, and one more may begin meanwhile.
pub const MAX_CHECKPOINTS_IN_FLIGHT: usize = 2;

/// Pieces of evidence kept about one job's trouble: the first ones matter, later ones are consequences.
pub const MAX_EVIDENCE: usize = 1_000;
