//! Limits on what the state may hold, each with its reason. Limits on messages are in `convoy_common::limits`.
//!
//! Replicas of two builds must decide alike: a limit that is changed takes effect with a new cluster version.

use convoy_common::limits::MAX_MESSAGE_BYTES;

/// Jobs that are not over: each is looked at after every event.
pub const MAX_OPEN_JOBS: usize = 1_000;

/// Jobs that are over and still remembered; beyond, the oldest one without a worker's process is forgotten. What matters
/// of them for longer lies beside their checkpoints.
pub const MAX_ENDED_JOBS: usize = 10_000;

/// Clients whose last command is remembered. The one that has been quiet for longest is forgotten first.
pub const MAX_CLIENTS: usize = 10_000;

/// A client's name for itself: a random number or a host's name and something more.
pub const MAX_CLIENT_ID_BYTES: usize = 128;

/// Machines; beyond, a lost one without workers is forgotten for each new one.
pub const MAX_NODES: usize = 20_000;

/// Labels of one node.
pub const MAX_LABELS: usize = 32;
/// See [`MAX_LABELS`].
pub const MAX_LABEL_KEY_BYTES: usize = 64;
/// See [`MAX_LABELS`]; 500 nodes with all of their labels fit into one message.
pub const MAX_LABEL_VALUE_BYTES: usize = 128;

/// Annotations of one job: notes of people and tools, no store for data.
pub const MAX_ANNOTATIONS: usize = 64;
/// See [`MAX_ANNOTATIONS`].
pub const MAX_ANNOTATION_KEY_BYTES: usize = 128;
/// See [`MAX_ANNOTATIONS`].
pub const MAX_ANNOTATION_VALUE_BYTES: usize = 4 << 10;

/// Coordinators, learners included: five vote, and each of them may be in the middle of its replacement.
pub const MAX_REPLICAS: usize = 16;

/// A host name has at most 253 bytes, and a port follows.
pub const MAX_ADDRESS_BYTES: usize = 300;

/// How a build names itself.
pub const MAX_BUILD_BYTES: usize = 128;

/// A reason: one sentence, and for a dead worker the last lines of its log. Longer ones are cut.
pub const MAX_REASON_BYTES: usize = 16 << 10;

/// A path on a node: Linux knows none that is longer. Longer ones are cut.
pub const MAX_PATH_BYTES: usize = 4 << 10;

/// The reason in a summary, of which one message holds hundreds. Longer ones are cut.
pub const MAX_SUMMARY_REASON_BYTES: usize = 400;

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

/// One encoded command or answer: it holds at most what came in one message.
pub const MAX_COMMAND_BYTES: usize = MAX_MESSAGE_BYTES;

/// One encoded state. All limits above at once would be more, which no cluster is; a length beyond is damage.
pub const MAX_SNAPSHOT_BYTES: u64 = 4 << 30;
