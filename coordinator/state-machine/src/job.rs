//! One training run as the state machine holds it.

use std::collections::BTreeMap;
use std::fmt;

use convoy_common::ids::Incarnation;
use convoy_common::ids::{
    Attempt, Generation, JobId, NodeId, SlotIndex, StepIndex, WorkerId, WorkerRef,
};
use serde::{Deserialize, Serialize};

use crate::records::{Checkpoint, DatasetFingerprint, Evaluation, GenerationRecord, Progress};
use crate::spec::StoredSpec;

/// One training run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its spec's name and `number`.
    pub id: JobId,
    /// Counts the jobs of the cluster, from 1: the order in which they are placed.
    pub number: u64,
    /// What to train.
    pub spec: StoredSpec,
    /// Exactly so many workers.
    pub wanted: u32,
    /// Where it stands.
    pub phase: JobPhase,
    /// Its workers, also those that ended.
    pub workers: BTreeMap<WorkerId, AssignedWorker>,
    /// Its committed memberships, oldest first: each continues the one before it.
    pub generations: Vec<GenerationRecord>,
    /// What its members train on, fixed by the first generation.
    pub dataset: Option<DatasetFingerprint>,
    /// How the build of the newest generation's members names itself, as far as is known.
    #[serde(default)]
    pub build: Option<String>,
    /// The progress recorded last; coarse, since it goes through the log.
    pub progress: Option<Progress>,
    /// Newest last; only the newest [`crate::limits::MAX_EVALUATIONS`].
    pub evaluations: Vec<Evaluation>,
    /// Newest last; only the newest [`crate::limits::MAX_CHECKPOINTS`].
    pub checkpoints: Vec<Checkpoint>,
    /// What people and tools noted about it; at most [`crate::limits::MAX_ANNOTATIONS`].
    pub annotations: BTreeMap<String, String>,
}

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobPhase {
    /// It has no worker slots yet; [`crate::placement`] says why.
    Waiting,
    /// Its workers have slots and no generation yet.
    Forming,
    /// A generation is committed.
    Training,
    /// Every step, evaluation and checkpoint is done.
    Finished {
        /// The last evaluation, if there was one.
        evaluation: Option<StepIndex>,
        /// The final checkpoint.
        checkpoint: StepIndex,
    },
    /// It can't go on.
    Failed {
        /// The first line is one sentence; further lines are the last ones of a dead worker's log.
        reason: String,
    },
    /// Someone ended it.
    Cancelled {
        /// Who or why.
        reason: String,
    },
}

impl JobPhase {
    /// Whether the job is over: nothing about it changes any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        match self {
            Self::Waiting | Self::Forming | Self::Training => false,
            Self::Finished { .. } | Self::Failed { .. } | Self::Cancelled { .. } => true,
        }
    }

    /// The phase without its details.
    #[must_use]
    pub fn name(&self) -> PhaseName {
        match self {
            Self::Waiting => PhaseName::Waiting,
            Self::Forming => PhaseName::Forming,
            Self::Training => PhaseName::Training,
            Self::Finished { .. } => PhaseName::Finished,
            Self::Failed { .. } => PhaseName::Failed,
            Self::Cancelled { .. } => PhaseName::Cancelled,
        }
    }
}

impl fmt::Display for JobPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name().fmt(f)
    }
}

/// A [`JobPhase`] without its details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "said by JobPhase")]
pub enum PhaseName {
    Waiting,
    Forming,
    Training,
    Finished,
    Failed,
    Cancelled,
}

impl fmt::Display for PhaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting",
            Self::Forming => "forming",
            Self::Training => "training",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        })
    }
}

/// A worker that was given a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignedWorker {
    /// Which life of it.
    pub incarnation: Incarnation,
    /// The machine it runs on.
    pub node: NodeId,
    /// The slot it holds until it ended.
    pub slot: SlotIndex,
    /// What its agent said about its process.
    pub process: WorkerProcess,
}

/// What an agent said about a worker's process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerProcess {
    /// Nothing yet.
    Assigned,
    /// It runs.
    Started {
        /// Its process id on its node.
        pid: u32,
        /// Its log on its node.
        log_path: String,
    },
    /// It is gone, and its slot is free.
    Ended(Obituary),
}

/// How a worker's process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obituary {
    /// 0 when it could not be started at all.
    pub pid: u32,
    /// In words: "exit code 1", "killed by signal 9 (SIGKILL)", "could not be started: ...".
    pub how: String,
    /// Whether it said itself that it was done.
    pub clean: bool,
    /// The last lines of its log, oldest first.
    pub last_lines: Vec<String>,
    /// Its log on its node.
    pub log_path: String,
}

impl AssignedWorker {
    /// Whether it still holds its slot.
    #[must_use]
    pub fn is_live(&self) -> bool {
        match self.process {
            WorkerProcess::Assigned | WorkerProcess::Started { .. } => true,
            WorkerProcess::Ended(_) => false,
        }
    }

    /// Its log on its node, once known.
    #[must_use]
    pub fn log_path(&self) -> &str {
        match &self.process {
            WorkerProcess::Assigned => "",
            WorkerProcess::Started { log_path, .. } => log_path,
            WorkerProcess::Ended(obituary) => &obituary.log_path,
        }
    }

    /// Its process id on its node, once known, else 0.
    #[must_use]
    pub fn pid(&self) -> u32 {
        match &self.process {
            WorkerProcess::Assigned => 0,
            WorkerProcess::Started { pid, .. } => *pid,
            WorkerProcess::Ended(obituary) => obituary.pid,
        }
    }
}

impl Job {
    /// The newest committed membership.
    #[must_use]
    pub fn newest_generation(&self) -> Option<&GenerationRecord> {
        self.generations.last()
    }

    /// The committed membership with this number.
    #[must_use]
    pub fn generation(&self, number: Generation) -> Option<&GenerationRecord> {
        let newest_first = self.generations.iter().rev();
        let mut found = newest_first.filter(|generation| generation.number == number);
        found.next()
    }

    /// The newest committed membership in which work was reported.
    #[must_use]
    pub fn newest_started(&self) -> Option<&GenerationRecord> {
        let mut newest_first = self.generations.iter().rev();
        newest_first.find(|generation| generation.started)
    }

    /// The number of the newest committed membership; 0 before the first.
    #[must_use]
    pub fn current_generation(&self) -> Generation {
        self.newest_generation()
            .map_or(Generation(0), |newest| newest.number)
    }

    /// The newest attempt that was committed; the smallest there is before the first.
    #[must_use]
    pub fn current_attempt(&self) -> Attempt {
        self.newest_generation()
            .map_or_else(Attempt::default, |newest| newest.attempt)
    }

    /// The full name of its worker `id`, if it has one.
    #[must_use]
    pub fn worker_ref(&self, id: WorkerId) -> Option<WorkerRef> {
        let incarnation = self.workers.get(&id)?.incarnation;
        Some(WorkerRef {
            job: self.id.clone(),
            worker: id,
            incarnation,
        })
    }

    /// The full names of its workers that hold a slot.
    pub fn live_workers(&self) -> impl Iterator<Item = WorkerRef> {
        let live = self
            .workers
            .iter()
            .filter(|(_, assigned)| assigned.is_live());
        live.filter_map(|(id, _)| self.worker_ref(*id))
    }

    /// The checkpoint the job ends with, if it is committed.
    #[must_use]
    pub fn last_checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoints
            .iter()
            .rev()
            .find(|checkpoint| checkpoint.key.last)
    }
}
