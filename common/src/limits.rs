//! Every limit on what comes from outside, each with its reason.

/// Ids become file names; this leaves room for suffixes within the 255 bytes of a file name.
pub const MAX_ID_BYTES: usize = 128;

/// A job spec is written by hand; a larger one is a wrong file.
pub const MAX_SPEC_BYTES: usize = 1 << 20;

/// Shards of a job: each costs a forward and backward pass of its own in every step.
pub const MAX_DATA_SHARDS: u32 = 4_096;

/// Device slots of one node: one process each.
pub const MAX_SLOTS: u32 = 256;

/// Coordinators of one cluster that a client is told of: five at most take part, and some may be on their way in or out.
pub const MAX_COORDINATORS: usize = 16;

/// Longest message on a session: a spec, with room for the wrapping. tonic's own default is 4 MiB.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;

/// Lines of a dead worker's log that travel with its obituary, and the longest of them.
pub const MAX_LAST_LINES: usize = 20;
/// See [`MAX_LAST_LINES`].
pub const MAX_LAST_LINE_BYTES: usize = 400;

/// Bytes of a log that travel in one message, through the leader: few enough that heartbeats and reports behind them are
/// not held up on a slow link.
pub const MAX_LOG_PART_BYTES: usize = 64 << 10;

/// Reads of logs that one agent has under way: what one of them reads lies in memory meanwhile.
pub const MAX_LOG_READS: usize = 4;

/// Agents and workers notice within so many milliseconds that the host of a coordinator vanished without a word. The next leader
/// must wait for them for longer.
pub const VANISHED_COORDINATOR_MS: u64 = 4_000;

/// Lines before the end of a log that one may begin with.
pub const MAX_TAIL_LINES: u32 = 100_000;

/// Problems of one spec that are shown: who has more fixes these first.
pub const MAX_SPEC_PROBLEMS: usize = 40;

/// An environment variable with its `=` and closing NUL: Linux refuses to start a process with a longer one (`MAX_ARG_STRLEN`).
pub const MAX_ENV_VARIABLE_BYTES: usize = 128 << 10;

/// What a worker's assignment holds besides the spec: ids of at most [`MAX_ID_BYTES`], numbers and their tags.
pub const MAX_ASSIGNMENT_BYTES: usize = 512;

/// Skipped steps that are listed by number: enough to see where it began. A job that diverged skips all of them.
pub const MAX_LISTED_SKIPPED_STEPS: usize = 100;
