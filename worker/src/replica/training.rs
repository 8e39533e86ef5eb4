//! What the replica does between commands: stand, join a group, train.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use convoy_collective::{AbortHandle, Identity, Peer, RingListener, TcpRing, verify};
use convoy_common::ids::{Attempt, EpochIndex, Generation, Phase, Position, ShardIndex, StepIndex};
use convoy_data::{
    BatchMaker, DataError, Evaluation, Pipeline, SampleOrdering, Transform, job_requests,
};
use convoy_membership::Member;
use convoy_training::{EvaluationCounts, Leg, ReduceTag, TrainingError};

use super::load::Loaded;
use super::progress::Progress;
use super::reducer::GroupReducer;
use super::saving::{Saving, SavingError};
use super::{Event, Group, Standing, Teller};

/// A group is built once all members were told to, which takes a round trip; a member that isn't there by then won't come.
const JOIN_LIMIT: Duration = Duration::from_secs(30);
/// Batches that are prepared ahead of each of a worker's shards.
pub(crate) const BATCHES_AHEAD_PER_SHARD: usize = 3;
/// Threads that prepare batches: one prepares some hundred thousand small images a second.
pub(crate) const DATA_THREADS: usize = 1;
/// Evaluation needs no gradients, so that its batches are bound by the cache, not by memory.
const EVALUATION_BATCH: u64 = 250;

/// Why training ended before the job did.
#[derive(Debug, thiserror::Error)]
enum Interruption {
    #[error(transparent)]
    Training(#[from] TrainingError),
    #[error(transparent)]
    Saving(#[from] SavingError),
}

impl From<DataError> for Interruption {
    fn from(error: DataError) -> Self {
        Self::Training(error.into())
    }
}

/// A loaded replica and its place in a group.
pub(super) struct Training {
    loaded: Loaded,
    listener: RingListener,
    position: Position,
    /// The own entry of the group that was joined.
    own: Option<Member>,
    saving: Saving,
}

impl Training {
    pub(super) fn new(loaded: Loaded, listener: RingListener) -> Self {
        let saving = Saving::new(&loaded);
        Self {
            loaded,
            listener,
            position: Position::default(),
            own: None,
            saving,
        }
    }

    /// Leaves the group and says where the replica stands.
    pub(super) fn stand(&mut self, attempt: Attempt) -> Event {
        self.leave();
        match self.loaded.trainer.snapshot() {
            Ok(state) => {
                let dataset = self.loaded.splits.fingerprint();
                let standing = Standing {
                    position: self.position,
                    dataset,
                    state_digest: state.state_sha256(),
                };
                Event::Standing { attempt, standing }
            }
            Err(error) => Event::Failed {
                reason: error.to_string(),
            },
        }
    }

    /// Builds the group of an attempt and proves that it adds up.
    pub(super) fn join(&mut self, group: Group, abort: &AbortHandle) -> Event {
        self.leave();
        let attempt = group.attempt;
        match self.connect(group, abort) {
            Ok(state_digest) => Event::Joined {
                attempt,
                state_digest,
            },
            Err(reason) => Event::JoinFailed { attempt, reason },
        }
    }

    fn connect(&mut self, group: Group, abort: &AbortHandle) -> Result<[u8; 32], String> {
        let (identity, next, previous) = neighbours(&group)?;
        let ring = TcpRing::connect(
            &self.listener,
            identity,
            next,
            previous,
            JOIN_LIMIT,
            abort.clone(),
        )
        .map_err(|e| e.to_string())?;
        verify(&ring, 0).map_err(|e| e.to_string())?;
        let reducer = GroupReducer::new(Box::new(ring), self.loaded.trainer.reductions());
        self.loaded.trainer.connect(Arc::new(reducer));
        let world = u32::try_from(group.members.len()).unwrap_or(u32::MAX);
        self.saving.enter(group.attempt, world);
        self.own = group.members.into_iter().nth(group.own);
        let state = self.loaded.trainer.snapshot().map_err(|e| e.to_string())?;
        Ok(state.state_sha256())
    }

    fn leave(&mut self) {
        self.loaded.trainer.disconnect();
        self.own = None;
    }

    /// Trains from `start` to the end of the job, or until the group breaks.
    pub(super) fn train(
        &mut self,
        attempt: Attempt,
        generation: Generation,
        start: StepIndex,
        teller: &Teller,
    ) -> Event {
        let Some(own) = self.own.clone() else {
            let reason = format!("told to train generation {generation} without a group");
            return Event::Broken { attempt, reason };
        };
        self.position = Position {
            generation,
            step: start,
            phase: Phase::Train,
        };
        let ended = self.run(&own, start, teller);
        self.leave();
        match ended {
            Ok(()) => Event::Trained {
                generation,
                position: self.position,
            },
            Err(Interruption::Training(TrainingError::Reduce(error))) => Event::Broken {
                attempt,
                reason: error.to_string(),
            },
            Err(error) => Event::Failed {
                reason: error.to_string(),
            },
        }
    }

    fn run(&mut self, own: &Member, start: StepIndex, teller: &Teller) -> Result<(), Interruption> {
        let course = self.loaded.course;
        let mut progress = Progress::new(
            self.position.generation,
            start,
            course.epochs,
            course.total_steps(),
        );
        let mut batches = self.batches(&own.shards, start)?;
        for leg in course.legs_from(start) {
            match leg {
                Leg::Train { epoch, steps } => self.train_epoch(
                    epoch,
                    steps,
                    own.shards.len(),
                    &mut batches,
                    &mut progress,
                    teller,
                )?,
                Leg::EpochEnd {
                    epoch,
                    step,
                    checkpoint,
                    last,
                } => {
                    let began = Instant::now();
                    self.loaded
                        .trainer
                        .end_epoch(epoch, self.loaded.whole_epoch)?;
                    if checkpoint {
                        let state = self.loaded.trainer.snapshot()?;
                        self.saving.save(
                            self.position,
                            epoch.next(),
                            last,
                            own.rank,
                            state,
                            teller.events(),
                        )?;
                    }
                    let counts = self.evaluate(&own.shards, step, &mut batches)?;
                    progress.elsewhere += began.elapsed();
                    teller.publish(&progress);
                    teller.tell(Event::Evaluated {
                        generation: self.position.generation,
                        step,
                        counts,
                    });
                }
            }
        }
        self.position.phase = Phase::Finish;
        Ok(self.saving.finish()?)
    }

    fn train_epoch(
        &mut self,
        epoch: EpochIndex,
        steps: Range<u64>,
        shards: usize,
        batches: &mut Pipeline,
        progress: &mut Progress,
        teller: &Teller,
    ) -> Result<(), TrainingError> {
        for step in steps.map(StepIndex) {
            let began = Instant::now();
            let tag = ReduceTag {
                generation: self.position.generation,
                step,
                phase: Phase::Train,
            };
            let batch = self.loaded.plan.batch(step.0 % self.loaded.plan.steps());
            let report = self
                .loaded
                .trainer
                .step(tag, shards, batch.end - batch.start, batches)?;
            self.position.step = step.next();
            progress.step(step, epoch, &report, began.elapsed());
            teller.publish(progress);
        }
        Ok(())
    }

    fn evaluate(
        &mut self,
        shards: &[ShardIndex],
        step: StepIndex,
        batches: &mut Pipeline,
    ) -> Result<EvaluationCounts, TrainingError> {
        self.position.phase = Phase::Evaluate;
        let count = self.evaluation().batches(&self.loaded.plan, shards);
        let tag = ReduceTag {
            generation: self.position.generation,
            step,
            phase: Phase::Evaluate,
        };
        let counts = self.loaded.trainer.evaluate(tag, count, batches)?;
        self.position.phase = Phase::Train;
        Ok(counts)
    }

    fn evaluation(&self) -> Evaluation {
        Evaluation {
            samples: self.loaded.splits.test.len() as u64,
            micro_batch: EVALUATION_BATCH,
        }
    }

    /// The batches of everything that is left to do, in order: epochs and the evaluations after them.
    fn batches(&self, shards: &[ShardIndex], start: StepIndex) -> Result<Pipeline, DataError> {
        let Loaded {
            spec,
            splits,
            plan,
            course,
            ..
        } = &self.loaded;
        let (data, seed) = (&spec.data, spec.training.seed);
        let layout = convoy_training::layout(spec.training.memory_format);
        let shape = splits.train.shape();
        let changed = Transform::training(shape, &data.mean, &data.std, &data.augment, seed)?;
        let plain = Transform::evaluation(shape, &data.mean, &data.std)?;
        let train = BatchMaker::new(
            Arc::clone(&splits.train),
            changed.in_layout(layout),
            SampleOrdering::Shuffled { seed },
        )?;
        let test = BatchMaker::new(
            Arc::clone(&splits.test),
            plain.in_layout(layout),
            SampleOrdering::Sequential,
        )?;
        let epochs = EpochIndex(0)..EpochIndex(course.epochs);
        let requests = job_requests(plan, epochs, shards, start, self.evaluation());
        let depth = BATCHES_AHEAD_PER_SHARD * shards.len().max(1);
        Pipeline::start_job(train, test, requests, DATA_THREADS, depth)
    }
}

/// Who the own neighbours in the ring are.
fn neighbours(group: &Group) -> Result<(Identity, Peer, Peer), String> {
    let world = group.members.len();
    let me = group
        .members
        .get(group.own)
        .ok_or_else(|| format!("member {} of a group of {world}", group.own))?;
    let identity = Identity {
        job: me.worker.job.clone(),
        attempt: group.attempt,
        rank: me.rank,
        world: u32::try_from(world).unwrap_or(u32::MAX),
        incarnation: me.worker.incarnation,
    };
    let next = peer(&group.members[(group.own + 1) % world])?;
    let previous = peer(&group.members[(group.own + world - 1) % world])?;
    Ok((identity, next, previous))
}

fn peer(member: &Member) -> Result<Peer, String> {
    let address: SocketAddr = member.data_address.parse().map_err(|_| {
        format!(
            "rank {} listens at {:?}, which is no address and port",
            member.rank, member.data_address
        )
    })?;
    Ok(Peer {
        rank: member.rank,
        address,
        incarnation: member.worker.incarnation,
    })
}
