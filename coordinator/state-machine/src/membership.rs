//! The leader's side of forming a generation: Stop -> positions -> Prepare -> Ready -> `FormGeneration`.
//!
//! A leader holds one [`Forming`] per job that has no running generation, and may lose it: the next leader starts a new
//! attempt. Nothing is proposed before *all* candidates are ready; there is no subset.

mod disagreement;

use std::collections::BTreeMap;

use convoy_common::ids::{
    Attempt, Generation, JobId, NodeId, Position, Rank, StepIndex, WorkerId, WorkerRef,
};
use convoy_common::partition::owned_shards;

use crate::command::Formation;
use crate::records::{DatasetFingerprint, Digest, Member};
use crate::time::Moment;

use disagreement::same_states;
pub use disagreement::{Disagreement, Named, Place};

/// What a job's candidates and its state say when an attempt begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basis {
    /// Which job.
    pub job: JobId,
    /// Its current generation; 0 before the first.
    pub parent: Generation,
    /// What it trains on, once a generation fixed it.
    pub dataset: Option<DatasetFingerprint>,
    /// How many data shards are to be owned.
    pub data_shards: u32,
    /// Everyone who is to become a member. Ranks follow worker ids.
    pub candidates: BTreeMap<WorkerId, Candidate>,
}

/// Who is to become a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Who.
    pub worker: WorkerRef,
    /// Where it runs, for messages.
    pub node: NodeId,
    /// `host:port` of its ring listener.
    pub data_address: String,
    /// How its build names itself.
    pub build: String,
}

impl Candidate {
    fn named(&self) -> Named {
        Named {
            worker: self.worker.worker,
            node: self.node.clone(),
        }
    }
}

/// One attempt at a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forming {
    attempt: Attempt,
    basis: Basis,
    stage: Stage,
    since: Moment,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Stopping(BTreeMap<WorkerId, Standing>),
    Preparing {
        plan: Plan,
        ready: BTreeMap<WorkerId, Digest>,
    },
    Proposed,
}

/// A worker's answer to Stop: where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How far it is.
    pub position: Position,
    /// What it trains on.
    pub dataset: DatasetFingerprint,
    /// Of its replicated state at this position.
    pub state_digest: Digest,
}

/// What every candidate is told to prepare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// By rank.
    pub members: Vec<Member>,
    /// Completed steps at the beginning.
    pub start: StepIndex,
    /// The generation it continues.
    pub parent: Generation,
    dataset: DatasetFingerprint,
}

/// What follows from an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// More answers are needed.
    Wait,
    /// The answer belongs to another attempt or stage, and is not used.
    Ignore(Stale),
    /// Tell every candidate to prepare.
    Prepare(Plan),
    /// All are ready: propose the generation.
    Form(Formation),
}

/// An answer that came too late or twice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} of {worker} for attempt {given} is not used: attempt {current} {stage}")]
pub struct Stale {
    what: &'static str,
    worker: WorkerRef,
    given: Attempt,
    current: Attempt,
    stage: &'static str,
}

impl Forming {
    /// Begins an attempt; Stop must go to every candidate.
    #[must_use]
    pub fn begin(attempt: Attempt, basis: Basis, now: Moment) -> Self {
        Self {
            attempt,
            basis,
            stage: Stage::Stopping(BTreeMap::new()),
            since: now,
        }
    }

    /// Which attempt this is.
    #[must_use]
    pub fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// Whether `worker` is a candidate of this attempt.
    #[must_use]
    pub fn has_candidate(&self, worker: &WorkerRef) -> bool {
        self.basis
            .candidates
            .get(&worker.worker)
            .is_some_and(|known| known.worker == *worker)
    }

    /// Whether `worker` said that it is ready.
    #[must_use]
    pub fn is_ready(&self, worker: WorkerId) -> bool {
        match &self.stage {
            Stage::Stopping(_) => false,
            Stage::Preparing { ready, .. } => ready.contains_key(&worker),
            Stage::Proposed => true,
        }
    }

    /// Takes a worker's answer to Stop.
    ///
    /// # Errors
    /// If two candidates can't be members of one generation: the job fails.
    pub fn stopped(
        &mut self,
        worker: &WorkerRef,
        attempt: Attempt,
        standing: Standing,
    ) -> Result<Next, Box<Disagreement>> {
        if attempt != self.attempt || !self.has_candidate(worker) {
            return Ok(Next::Ignore(self.stale("Stopped", worker, attempt)));
        }
        let stale = self.stale("Stopped", worker, attempt);
        let Stage::Stopping(standings) = &mut self.stage else {
            return Ok(Next::Ignore(stale));
        };
        standings.insert(worker.worker, standing);
        if standings.len() < self.basis.candidates.len() {
            return Ok(Next::Wait);
        }
        let plan = self.basis.plan(standings)?;
        self.stage = Stage::Preparing {
            plan: plan.clone(),
            ready: BTreeMap::new(),
        };
        Ok(Next::Prepare(plan))
    }

    /// Takes a worker's answer to Prepare.
    ///
    /// # Errors
    /// If two candidates differ in the digest of their state: the job fails.
    pub fn ready(
        &mut self,
        worker: &WorkerRef,
        attempt: Attempt,
        state_digest: Digest,
    ) -> Result<Next, Box<Disagreement>> {
        if attempt != self.attempt || !self.has_candidate(worker) {
            return Ok(Next::Ignore(self.stale("Ready", worker, attempt)));
        }
        let stale = self.stale("Ready", worker, attempt);
        let Stage::Preparing { plan, ready } = &mut self.stage else {
            return Ok(Next::Ignore(stale));
        };
        ready.insert(worker.worker, state_digest);
        if ready.len() < self.basis.candidates.len() {
            return Ok(Next::Wait);
        }
        same_states(
            &self.basis,
            plan.start,
            ready.iter().map(|(id, digest)| (*id, digest)),
        )?;
        let formation = Formation {
            job: self.basis.job.clone(),
            parent: plan.parent,
            attempt,
            members: plan.members.clone(),
            start: plan.start,
            dataset: plan.dataset.clone(),
            build: self.basis.build(),
        };
        self.stage = Stage::Proposed;
        Ok(Next::Form(formation))
    }

    /// What this attempt waits for, in one sentence.
    #[must_use]
    pub fn waits_for(&self) -> String {
        let generation = self.basis.parent.next();
        let attempt = self.attempt;
        let wanted = self.basis.candidates.len();
        match self.missing() {
            None => format!("forms generation {generation}: attempt {attempt} is being committed"),
            Some((who, what)) => format!(
                "forms generation {generation} with {wanted} workers: attempt {attempt} waits for {who} to {what}"
            ),
        }
    }

    /// Who did not answer in time, once an attempt took longer than `deadline_ms`.
    #[must_use]
    pub fn overdue(&self, deadline_ms: u64, now: Moment) -> Option<Disagreement> {
        let waited_ms = now.ms_since(self.since);
        let (who, what) = self.missing().filter(|_| waited_ms >= deadline_ms)?;
        let (job, attempt) = (self.basis.job.clone(), self.attempt);
        Some(Disagreement::Overdue {
            job,
            who,
            what,
            attempt,
            waited_ms,
        })
    }

    /// Whose answer is missing, and to do what; none when nothing is.
    fn missing(&self) -> Option<(String, &'static str)> {
        let (answered, what): (Vec<WorkerId>, _) = match &self.stage {
            Stage::Stopping(standings) => (
                standings.keys().copied().collect(),
                "stop and tell its position",
            ),
            Stage::Preparing { ready, .. } => (
                ready.keys().copied().collect(),
                "build the collective and be ready",
            ),
            Stage::Proposed => return None,
        };
        let silent = self
            .basis
            .candidates
            .keys()
            .filter(|id| !answered.contains(id));
        let names: Vec<String> = silent.map(ToString::to_string).collect();
        let noun = if names.len() == 1 {
            "worker"
        } else {
            "workers"
        };
        Some((format!("{noun} {}", names.join(", ")), what))
    }

    fn stale(&self, what: &'static str, worker: &WorkerRef, given: Attempt) -> Stale {
        let stage = match self.stage {
            Stage::Stopping(_) => "is stopping its workers",
            Stage::Preparing { .. } => "is preparing",
            Stage::Proposed => "is being committed",
        };
        Stale {
            what,
            worker: worker.clone(),
            given,
            current: self.attempt,
            stage,
        }
    }
}

impl Basis {
    fn named(&self, worker: WorkerId) -> Option<Named> {
        self.candidates.get(&worker).map(Candidate::named)
    }

    /// What to prepare, once everybody's standing is known.
    fn plan(&self, standings: &BTreeMap<WorkerId, Standing>) -> Result<Plan, Box<Disagreement>> {
        // Both have an entry for every candidate by now.
        let mut standings = self.candidates.values().zip(standings);
        let Some((first, (first_id, standing))) = standings.next() else {
            unreachable!("an attempt has at least one candidate");
        };
        let job = &self.job;
        if let Some(pinned) = self
            .dataset
            .as_ref()
            .filter(|pinned| **pinned != standing.dataset)
        {
            let (given, pinned) = (standing.dataset.clone(), pinned.clone());
            return Err(Box::new(Disagreement::OtherDataset {
                job: job.clone(),
                worker: first.named(),
                given,
                pinned,
            }));
        }
        for (other, (_, theirs)) in standings.clone() {
            if theirs.dataset != standing.dataset {
                return Err(Box::new(Disagreement::Datasets {
                    job: job.clone(),
                    first: first.named(),
                    first_dataset: standing.dataset.clone(),
                    other: other.named(),
                    other_dataset: theirs.dataset.clone(),
                }));
            }
            if theirs.position != standing.position {
                return Err(Box::new(Disagreement::Positions {
                    job: job.clone(),
                    first: first.named(),
                    first_position: Place(standing.position),
                    other: other.named(),
                    other_position: Place(theirs.position),
                }));
            }
        }
        let start = standing.position.step;
        let digests = standings.map(|(_, (id, theirs))| (*id, &theirs.state_digest));
        same_states(
            self,
            start,
            std::iter::once((*first_id, &standing.state_digest)).chain(digests),
        )?;
        Ok(Plan {
            members: self.members(),
            start,
            parent: self.parent,
            dataset: standing.dataset.clone(),
        })
    }

    /// Of all candidates; none if they differ, which whoever let them in saw to.
    fn build(&self) -> Option<String> {
        let mut builds = self.candidates.values().map(|candidate| &candidate.build);
        let first = builds.next()?;
        builds.all(|build| build == first).then(|| first.clone())
    }

    /// Candidates by worker id become members by rank.
    fn members(&self) -> Vec<Member> {
        let world = u32::try_from(self.candidates.len()).unwrap_or(u32::MAX);
        let ranked = (0..).map(Rank).zip(self.candidates.values());
        let members = ranked.map(|(rank, candidate)| Member {
            worker: candidate.worker.clone(),
            rank,
            data_address: candidate.data_address.clone(),
            shards: owned_shards(self.data_shards, world, rank),
        });
        members.collect()
    }
}
