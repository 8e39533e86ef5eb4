//! Why a job fails: of everything that is reported about its trouble, the best cause.
//!
//! When one worker dies, the others see a broken collective. That is a symptom: the cause is on its way, from the dead
//! worker's own last words or from its agent. So symptoms wait, but never for ever.

use convoy_common::ids::{NodeId, WorkerId};

use crate::job::{Job, Obituary};
use crate::limits::MAX_EVIDENCE;
use crate::time::{Moment, Seconds};

/// One thing that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The coordinator itself found that the job can't go on.
    Decided(String),
    /// A worker said why it can't go on.
    Failed {
        /// Which.
        worker: WorkerId,
        /// One sentence.
        reason: String,
    },
    /// A worker's process ended while the job was not over.
    Ended {
        /// Which.
        worker: WorkerId,
        /// How.
        obituary: Obituary,
    },
    /// A node is gone.
    NodeLost {
        /// Which.
        node: NodeId,
        /// One sentence.
        reason: String,
    },
    /// Nothing was heard of a worker.
    Silent {
        /// Which.
        worker: WorkerId,
        /// For how long.
        silent_ms: u64,
    },
    /// A worker's collective broke.
    Broken {
        /// Which.
        worker: WorkerId,
        /// As it says.
        reason: String,
    },
    /// A worker's session ended; it may come back.
    Detached {
        /// Which.
        worker: WorkerId,
        /// How.
        reason: String,
    },
}

/// How much a cause explains; the smallest explains most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// Somebody said why.
    Words,
    /// A process ended, or a machine is gone.
    Death,
    /// Nothing is heard.
    Silence,
    /// Words or death of a worker that had reported a broken collective before: likely a consequence.
    Consequence,
    /// Something else must have happened.
    Symptom,
}

/// How long to wait for a better cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// With a death or silence at hand: the worker's own last words travel on another connection.
    pub settle_ms: u64,
    /// With symptoms only.
    pub symptom_ms: u64,
}

/// Everything that is known about the trouble of one job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    found: Vec<(Moment, Cause)>,
}

impl Evidence {
    /// Adds a cause, unless the same kind is known of the same subject; says whether it is new.
    pub fn note(&mut self, cause: Cause, now: Moment) -> bool {
        let known = self
            .found
            .iter()
            .any(|(_, known)| known.same_subject(&cause));
        let is_new = !known && self.found.len() < MAX_EVIDENCE;
        if is_new {
            self.found.push((now, cause));
        }
        is_new
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Forgets that the session of `worker` ended: it came back.
    pub fn came_back(&mut self, worker: WorkerId) {
        self.found.retain(|(_, cause)| match cause {
            Cause::Detached { worker: gone, .. } | Cause::Silent { worker: gone, .. } => {
                *gone != worker
            }
            Cause::Decided(_)
            | Cause::Failed { .. }
            | Cause::Ended { .. }
            | Cause::NodeLost { .. }
            | Cause::Broken { .. } => true,
        });
    }

    /// Why the job fails, once that is clear or patience is at its end.
    #[must_use]
    pub fn verdict(&self, job: &Job, patience: Patience, now: Moment) -> Option<String> {
        let (weight, _, best) = self.best()?;
        let first = self.found.iter().map(|(at, _)| *at).min()?;
        let deaths = self
            .found
            .iter()
            .filter(|(_, cause)| self.weigh(cause) <= Weight::Silence);
        let waited_ms = match weight {
            Weight::Words => return Some(best.describe(job)),
            Weight::Death | Weight::Silence => now.ms_since(deaths.map(|(at, _)| *at).min()?),
            Weight::Consequence | Weight::Symptom => now.ms_since(first),
        };
        let needed_ms = match weight {
            Weight::Words => 0,
            Weight::Death | Weight::Silence => patience.settle_ms,
            Weight::Consequence | Weight::Symptom => patience.symptom_ms,
        };
        if waited_ms < needed_ms {
            return None;
        }
        let reason = best.describe(job);
        if weight == Weight::Symptom {
            let waited = Seconds { ms: waited_ms };
            return Some(format!(
                "{reason}; no worker's end or failure was reported within {waited}"
            ));
        }
        Some(reason)
    }

    /// What is being waited for, in one sentence, while there is no verdict.
    #[must_use]
    pub fn waits_for(&self, job: &Job) -> Option<String> {
        let (_, _, best) = self.best()?;
        let first_line = best.describe(job);
        let first_line = first_line.lines().next().unwrap_or_default().to_owned();
        Some(format!("looks for the cause of this: {first_line}"))
    }

    fn best(&self) -> Option<(Weight, Moment, &Cause)> {
        let weighed = self
            .found
            .iter()
            .map(|(at, cause)| (self.weigh(cause), *at, cause));
        weighed.min_by_key(|(weight, at, _)| (*weight, *at))
    }

    fn weigh(&self, cause: &Cause) -> Weight {
        let after_break = |subject: &WorkerId, own: Weight| {
            let earlier = self.found.iter().take_while(|(_, other)| other != cause);
            let mut broken = earlier.filter(|(_, other)| other.is_break_of(*subject));
            if broken.next().is_some() {
                Weight::Consequence
            } else {
                own
            }
        };
        match cause {
            Cause::Decided(_) => Weight::Words,
            Cause::Failed { worker, .. } => after_break(worker, Weight::Words),
            Cause::Ended { worker, .. } => after_break(worker, Weight::Death),
            Cause::NodeLost { .. } => Weight::Death,
            Cause::Silent { .. } => Weight::Silence,
            Cause::Broken { .. } | Cause::Detached { .. } => Weight::Symptom,
        }
    }
}

impl Cause {
    fn is_break_of(&self, subject: WorkerId) -> bool {
        match self {
            Self::Broken { worker, .. } => *worker == subject,
            Self::Decided(_)
            | Self::Failed { .. }
            | Self::Ended { .. }
            | Self::NodeLost { .. }
            | Self::Silent { .. }
            | Self::Detached { .. } => false,
        }
    }

    fn same_subject(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::NodeLost { node: a, .. }, Self::NodeLost { node: b, .. }) => a == b,
            (a, b) => {
                std::mem::discriminant(a) == std::mem::discriminant(b) && a.worker() == b.worker()
            }
        }
    }

    fn worker(&self) -> Option<WorkerId> {
        match self {
            Self::Decided(_) | Self::NodeLost { .. } => None,
            Self::Failed { worker, .. }
            | Self::Ended { worker, .. }
            | Self::Silent { worker, .. }
            | Self::Broken { worker, .. }
            | Self::Detached { worker, .. } => Some(*worker),
        }
    }

    /// One sentence; for a dead worker followed by the last lines of its log, each on a line of its own.
    fn describe(&self, job: &Job) -> String {
        match self {
            Self::Decided(reason) => reason.clone(),
            Self::Failed { worker, reason } => {
                format!(
                    "{} failed: {reason}{}",
                    name(job, *worker),
                    log_of(job, *worker)
                )
            }
            Self::Ended { worker, obituary } => describe_end(job, *worker, obituary),
            Self::NodeLost { node, reason } => {
                let on_it = job
                    .workers
                    .iter()
                    .filter(|(_, worker)| worker.node == *node);
                let ids: Vec<String> = on_it.map(|(id, _)| id.to_string()).collect();
                format!(
                    "node {node} was lost with workers {} of this job: {reason}",
                    ids.join(", ")
                )
            }
            Self::Silent { worker, silent_ms } => {
                let silent = Seconds { ms: *silent_ms };
                format!(
                    "nothing was heard of {} for {silent}{}",
                    name(job, *worker),
                    log_of(job, *worker)
                )
            }
            Self::Broken { worker, reason } => {
                format!("the collective of {} broke: {reason}", name(job, *worker))
            }
            Self::Detached { worker, reason } => {
                format!("the session of {} ended: {reason}", name(job, *worker))
            }
        }
    }
}

fn describe_end(job: &Job, worker: WorkerId, obituary: &Obituary) -> String {
    let Obituary {
        pid,
        how,
        clean,
        last_lines,
        log_path,
    } = obituary;
    let who = name(job, worker);
    let verb = if *pid == 0 || how.starts_with("ended") {
        ""
    } else {
        "ended: "
    };
    let early = if *clean {
        ", before the job was done"
    } else {
        ""
    };
    let progress = job.progress.as_ref();
    let at = progress.map_or_else(String::new, |at| {
        format!(", soon after step {}", at.position.step)
    });
    let log = if log_path.is_empty() {
        String::new()
    } else {
        format!("; its log is {log_path}")
    };
    let mut reason = format!("{who} {verb}{how}{early}{at}{log}");
    for line in last_lines {
        reason.push_str("\n  ");
        reason.push_str(line);
    }
    reason
}

fn name(job: &Job, worker: WorkerId) -> String {
    match job.workers.get(&worker) {
        Some(assigned) => format!("worker {worker} on node {}", assigned.node),
        None => format!("worker {worker}"),
    }
}

fn log_of(job: &Job, worker: WorkerId) -> String {
    let path = job
        .workers
        .get(&worker)
        .map_or("", |assigned| assigned.log_path());
    if path.is_empty() {
        String::new()
    } else {
        format!("; its log is {path}")
    }
}
