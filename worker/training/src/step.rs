//! The training step.

use convoy_common::spec::Precision;
use convoy_data::Batch;
use convoy_torch::{Autocast, forget_casts};
use tch::{Kind, TchError, Tensor};

use crate::counts::Counts;
use crate::gradients::Verdict;
use crate::model::{Pass, dropout_seed};
use crate::optimizer::UpdateTime;
use crate::reduce::ReduceTag;
use crate::state::FlatParameters;
use crate::times::Stopwatch;
use crate::trainer::{BatchSource, StepReport, Trainer, TrainingError};

/// A step whose gradients outgrew their scales is computed once more, with scales that were measured from the same gradients. The
/// first step of a job begins so; more would mean that the same batches give other gradients each time.
const MAX_RUNS: u32 = 3;

/// Which step, and the own part of it.
#[derive(Clone, Copy)]
struct Part {
    tag: ReduceTag,
    /// Shards of this member.
    shards: usize,
    /// Samples of the whole step.
    batch_samples: u64,
}

/// The batches of a step's own shards: kept until its outcome is known, because it may be computed again.
struct StepBatches<'a> {
    source: &'a mut dyn BatchSource,
    taken: Vec<Batch>,
}

impl StepBatches<'_> {
    fn of_shard(&mut self, shard: usize) -> Result<&Batch, TrainingError> {
        if shard == self.taken.len() {
            self.taken.push(self.source.next_batch()?);
        }
        Ok(&self.taken[shard])
    }

    /// Recycles all; what is left is memory for the next step's.
    fn recycle(mut self) -> Vec<Batch> {
        for batch in self.taken.drain(..) {
            self.source.recycle(batch);
        }
        self.taken
    }
}

/// What all members know of a step once everything was reduced.
struct Outcome {
    counts: Counts,
    skipped: bool,
    runs: u32,
}

impl Trainer {
    /// One optimizer update on one global batch of `batch_samples` samples, of which this member computes `shards` shards.
    ///
    /// # Errors
    /// If a batch can't be had, libtorch fails or the group breaks. The state then is that from before the step.
    ///
    /// # Panics
    /// If these are more shards than the job has, for which sums of integers have no room: an error of the caller.
    pub fn step(
        &mut self,
        tag: ReduceTag,
        shards: usize,
        batch_samples: u64,
        source: &mut dyn BatchSource,
    ) -> Result<StepReport, TrainingError> {
        assert!(
            shards <= self.data_shards,
            "{shards} shards in a job of {}",
            self.data_shards
        );
        let mut watch = Stopwatch::start();
        let part = Part {
            tag,
            shards,
            batch_samples,
        };
        let taken = std::mem::take(&mut self.batches);
        let mut batches = StepBatches { source, taken };
        let outcome = self.decide(part, &mut batches, &mut watch);
        self.batches = batches.recycle();
        if outcome.is_err() {
            // What the last own shard made of them is no state of the job.
            self.buffers.restore().map_err(step_failure)?;
        }
        let report = self.apply(tag, &outcome?)?;
        watch.lap(|times| &mut times.update);
        self.times = watch.times();
        Ok(report)
    }

    /// Computes and reduces the step until it is known what becomes of it. Nothing that members hold alike is changed.
    fn decide(
        &mut self,
        part: Part,
        batches: &mut StepBatches<'_>,
        watch: &mut Stopwatch,
    ) -> Result<Outcome, TrainingError> {
        for runs in 1..=MAX_RUNS {
            self.begin(runs > 1).map_err(step_failure)?;
            self.gate.begin(part.tag);
            let computed = self.compute(part, batches, watch);
            let reduced = self.gate.finish();
            watch.lap(|times| &mut times.reduction);
            computed?;
            reduced?;
            let counts = self.reduced_counts();
            // From reduced data only: all members decide alike.
            let verdict = self.gradients.verdict(&mut self.parameters.gradients);
            let skipped = match verdict {
                Verdict::NotFinite => true,
                Verdict::Good | Verdict::Outgrown if counts.not_finite > 0 => true,
                Verdict::Outgrown => {
                    tracing::debug!(
                        step = part.tag.step.0,
                        "gradients outgrew their scales: the step is computed again"
                    );
                    continue;
                }
                Verdict::Good => false,
            };
            return Ok(Outcome {
                counts,
                skipped,
                runs,
            });
        }
        Err(TrainingError::Unsettled {
            step: part.tag.step,
            runs: MAX_RUNS,
        })
    }

    fn begin(&mut self, again: bool) -> Result<(), TchError> {
        self.gradients.begin(&mut self.parameters.gradients, again);
        if again {
            self.buffers.begin_again()
        } else {
            self.buffers.begin_step()
        }
    }

    /// Forward and backward of all own shards; the buckets go on their way during the last one.
    fn compute(
        &mut self,
        part: Part,
        batches: &mut StepBatches<'_>,
        watch: &mut Stopwatch,
    ) -> Result<(), TrainingError> {
        let mut counts = Counts::default();
        for shard in 0..part.shards {
            watch.lap(|times| &mut times.forward);
            let batch = batches.of_shard(shard)?;
            watch.lap(|times| &mut times.data);
            if shard > 0 {
                self.buffers.restore().map_err(step_failure)?;
            }
            let last = shard + 1 == part.shards;
            self.shard(batch, part, last, &mut counts, watch)?;
        }
        self.gate.submit(self.buffers_reduction());
        self.submit_counts(counts);
        if let Some(magnitudes) = self.magnitudes_reduction() {
            self.gate.submit(magnitudes);
        }
        Ok(())
    }

    /// One shard, from the state in which the step began. The loss is the sum over the shard's samples divided by the samples of the
    /// whole step, so that the gradient of the step is the plain sum over the shards.
    fn shard(
        &mut self,
        batch: &Batch,
        Part {
            tag, batch_samples, ..
        }: Part,
        last: bool,
        counts: &mut Counts,
        watch: &mut Stopwatch,
    ) -> Result<(), TrainingError> {
        let (images, labels) = self.inputs.fill(batch);
        let shard = batch.request.shard;
        let seed = dropout_seed(self.seed, tag.step, shard);
        let scores = self.scores(&images, Pass::Training { seed })?;
        let loss = self
            .loss
            .training_sum(&scores, &labels)
            .map_err(step_failure)?;
        let scaled = loss
            .f_div_scalar(batch_samples as f64)
            .map_err(step_failure)?;
        watch.lap(|times| &mut times.forward);
        if last {
            self.gate.open();
        }
        let backward = scaled.f_backward();
        if last {
            self.gradients.complete();
            self.gate.close();
        }
        backward.map_err(step_failure)?;
        let share = batch.len() as f64 / batch_samples as f64;
        counts.not_finite += u64::from(!self.buffers.accumulate(share));
        counts.hash_sum = counts.hash_sum.wrapping_add(batch.sample_hash_sum);
        let correct = self.accuracy.correct(&scores, &batch.labels);
        let added = correct.and_then(|correct| counts.add(batch, correct, &loss));
        watch.lap(|times| &mut times.backward);
        added.map_err(step_failure)
    }

    /// Class scores in f32, of a forward pass in the job's precision.
    pub(crate) fn scores(&self, images: &Tensor, pass: Pass) -> Result<Tensor, TrainingError> {
        let torch = |source| TrainingError::Torch {
            operation: "run the network",
            source,
        };
        let autocast = match self.precision {
            Precision::F32 => None,
            Precision::Bf16 => Some(Autocast::bfloat16()?),
        };
        let scores = self.model.network.forward(images, pass).map_err(torch)?;
        drop(autocast);
        scores.f_to_kind(Kind::Float).map_err(torch)
    }

    /// Everything of the step has arrived, and all members know its outcome: now, and only now, write.
    fn apply(&mut self, tag: ReduceTag, outcome: &Outcome) -> Result<StepReport, TrainingError> {
        let torch = |source| TrainingError::Torch {
            operation: "apply a training step",
            source,
        };
        let Outcome {
            counts,
            skipped,
            runs,
        } = *outcome;
        if skipped {
            self.buffers.restore().map_err(torch)?;
        } else {
            self.gradients.settle()?;
            self.buffers.adopt_sum();
            let time = UpdateTime {
                step: tag.step.0,
                updates: self.updates,
            };
            let FlatParameters {
                values, gradients, ..
            } = &mut self.parameters;
            self.optimizer.update(time, values, gradients)?;
            if let Some(average) = &mut self.average {
                average
                    .add(self.updates, values, &self.buffers.live)
                    .map_err(torch)?;
            }
            self.updates += 1;
        }
        forget_casts()?;
        self.accounting.add(counts.samples, counts.hash_sum);
        Ok(StepReport {
            samples: counts.samples,
            correct: counts.correct,
            loss: counts.mean_loss(),
            skipped,
            runs,
        })
    }

    pub(crate) fn submit_counts(&mut self, counts: Counts) {
        self.control
            .with_i64(|values| values.copy_from_slice(&counts.to_control()));
        self.gate.submit(self.control_reduction());
    }

    pub(crate) fn reduced_counts(&mut self) -> Counts {
        self.control.with_i64(|values| Counts::from_control(values))
    }
}

fn step_failure(source: TchError) -> TrainingError {
    TrainingError::Torch {
        operation: "compute a training step",
        source,
    }
}
