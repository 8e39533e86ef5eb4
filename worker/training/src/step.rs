//! The training step and the evaluation.

use convoy_common::spec::Precision;
use convoy_data::Batch;
use convoy_torch::{Autocast, Elements, forget_casts};
use tch::{Kind, TchError, Tensor};

use crate::loss::evaluation_sum;
use crate::optimizer::UpdateTime;
use crate::reduce::ReduceTag;
use crate::state::FlatParameters;
use crate::times::Stopwatch;
use crate::trainer::{BatchSource, EvaluationCounts, StepReport, Trainer, TrainingError};

/// See [`Counts::to_control`].
pub(crate) const CONTROL_ELEMENTS: usize = 5;

/// Losses are summed in fixed point, so that the sum is the same in any order: 2^-20 is below what a display shows, and
/// 2^43 samples with a loss of 1 fit.
const LOSS_ONE: f64 = 1_048_576.0;
/// A larger loss of one micro-batch is clamped, to keep the sum of all within i64.
const LOSS_LIMIT: f64 = 1e9;

/// What a member counts, and after the reduction what all did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    samples: u64,
    hash_sum: u64,
    correct: u64,
    loss_fixed: i64,
    /// Micro-batches whose loss was not finite.
    not_finite: u64,
}

impl Counts {
    /// Adds a micro-batch with so many right answers and this summed loss.
    fn add(&mut self, batch: &Batch, correct: u64, loss: &Tensor) -> Result<(), TchError> {
        self.samples += batch.len() as u64;
        self.correct += correct;
        self.add_loss(loss.f_double_value(&[])?);
        Ok(())
    }

    fn add_loss(&mut self, loss_sum: f64) {
        if loss_sum.is_finite() {
            self.loss_fixed += (loss_sum.clamp(-LOSS_LIMIT, LOSS_LIMIT) * LOSS_ONE).round() as i64;
        } else {
            self.not_finite += 1;
        }
    }

    fn mean_loss(&self) -> f64 {
        if self.not_finite > 0 {
            f64::NAN
        } else {
            self.loss_fixed as f64 / LOSS_ONE / self.samples.max(1) as f64
        }
    }

    fn to_control(self) -> [i64; CONTROL_ELEMENTS] {
        let bits = u64::cast_signed;
        [
            bits(self.samples),
            bits(self.hash_sum),
            bits(self.correct),
            self.loss_fixed,
            bits(self.not_finite),
        ]
    }

    fn from_control(values: &[i64]) -> Self {
        let bits = |index: usize| values[index].cast_unsigned();
        Self {
            samples: bits(0),
            hash_sum: bits(1),
            correct: bits(2),
            loss_fixed: values[3],
            not_finite: bits(4),
        }
    }
}

impl Trainer {
    /// One optimizer update on one global batch of `batch_samples` samples, of which this member computes `shards` shards.
    ///
    /// # Errors
    /// If a batch can't be had, libtorch fails or the group breaks. The state then is that from before the step, but for
    /// the buffers and gradients of the member itself.
    pub fn step(
        &mut self,
        tag: ReduceTag,
        shards: usize,
        batch_samples: u64,
        source: &mut dyn BatchSource,
    ) -> Result<StepReport, TrainingError> {
        let mut watch = Stopwatch::start();
        self.gate.begin(tag);
        let computed = self.compute(shards, batch_samples, source, &mut watch);
        let reduced = self.gate.finish();
        watch.lap(|times| &mut times.reduction);
        computed?;
        reduced?;
        let report = self.apply(tag)?;
        watch.lap(|times| &mut times.update);
        self.times = watch.times();
        Ok(report)
    }

    /// Counts right answers over `batches` micro-batches, and adds up what all members counted.
    ///
    /// # Errors
    /// If a batch can't be had, libtorch fails or the group breaks.
    pub fn evaluate(
        &mut self,
        tag: ReduceTag,
        batches: usize,
        source: &mut dyn BatchSource,
    ) -> Result<EvaluationCounts, TrainingError> {
        self.gate.begin(tag);
        self.exchange_average()?;
        let counted = self.count_all(batches, source);
        self.exchange_average()?;
        self.submit_counts(counted?);
        self.gate.finish()?;
        let all = self.reduced_counts();
        Ok(EvaluationCounts {
            samples: all.samples,
            correct: all.correct,
            loss: all.mean_loss(),
        })
    }

    fn count_all(
        &mut self,
        batches: usize,
        source: &mut dyn BatchSource,
    ) -> Result<Counts, TrainingError> {
        let mut counts = Counts::default();
        for _ in 0..batches {
            let batch = source.next_batch()?;
            let counted = tch::no_grad(|| self.count(&batch, &mut counts));
            source.recycle(batch);
            counted?;
        }
        Ok(counts)
    }

    /// Has the network compute with the average of the weights if the job keeps one; the same again undoes it.
    fn exchange_average(&mut self) -> Result<(), TrainingError> {
        if let Some(average) = &mut self.average {
            average.exchange(&mut self.parameters.values, &mut self.buffers.live);
            forget_casts()?;
        }
        Ok(())
    }

    /// Forward and backward of all own shards; the buckets go on their way during the last one.
    fn compute(
        &mut self,
        shards: usize,
        batch_samples: u64,
        source: &mut dyn BatchSource,
        watch: &mut Stopwatch,
    ) -> Result<(), TrainingError> {
        self.begin().map_err(step_failure)?;
        let mut counts = Counts::default();
        for shard in 0..shards {
            watch.lap(|times| &mut times.forward);
            let batch = source.next_batch()?;
            watch.lap(|times| &mut times.data);
            if shard > 0 {
                self.buffers.restore().map_err(step_failure)?;
            }
            let last = shard + 1 == shards;
            let computed = self.shard(&batch, batch_samples, last, &mut counts, watch);
            source.recycle(batch);
            computed?;
        }
        self.gate.submit(self.buffers_region());
        self.submit_counts(counts);
        Ok(())
    }

    fn begin(&mut self) -> Result<(), TchError> {
        self.parameters.gradients.clear();
        self.buffers.begin_step()
    }

    /// One shard, from the state in which the step began. The loss is the sum over the shard's samples divided by the samples of the
    /// whole step, so that the gradient of the step is the plain sum over the shards.
    fn shard(
        &mut self,
        batch: &Batch,
        batch_samples: u64,
        last: bool,
        counts: &mut Counts,
        watch: &mut Stopwatch,
    ) -> Result<(), TrainingError> {
        let (images, labels) = self.inputs.fill(batch);
        let scores = self.scores(&images, true)?;
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
            self.gate.close();
        }
        backward.map_err(step_failure)?;
        let share = batch.len() as f64 / batch_samples as f64;
        self.buffers.accumulate(share);
        counts.hash_sum = counts.hash_sum.wrapping_add(batch.sample_hash_sum);
        let correct = self.accuracy.correct(&scores, &batch.labels);
        let added = correct.and_then(|correct| counts.add(batch, correct, &loss));
        watch.lap(|times| &mut times.backward);
        added.map_err(step_failure)
    }

    fn count(&mut self, batch: &Batch, counts: &mut Counts) -> Result<(), TrainingError> {
        let (images, labels) = self.inputs.fill(batch);
        let scores = self.scores(&images, false)?;
        let loss = evaluation_sum(&scores, &labels).map_err(evaluation_failure)?;
        let correct = self.accuracy.correct(&scores, &batch.labels);
        correct
            .and_then(|correct| counts.add(batch, correct, &loss))
            .map_err(evaluation_failure)
    }

    /// Class scores in f32, of a forward pass in the job's precision.
    fn scores(&self, images: &Tensor, training: bool) -> Result<Tensor, TrainingError> {
        let torch = |source| TrainingError::Torch {
            operation: "run the network",
            source,
        };
        let autocast = match self.precision {
            Precision::F32 => None,
            Precision::Bf16 => Some(Autocast::bfloat16()?),
        };
        let scores = self
            .model
            .network
            .forward(images, training)
            .map_err(torch)?;
        drop(autocast);
        scores.f_to_kind(Kind::Float).map_err(torch)
    }

    /// Everything of the step has arrived: decide from reduced data only, then write.
    fn apply(&mut self, tag: ReduceTag) -> Result<StepReport, TrainingError> {
        let torch = |source| TrainingError::Torch {
            operation: "apply a training step",
            source,
        };
        let counts = self.reduced_counts();
        let skipped = counts.not_finite > 0 || !self.gradients_are_finite();
        if skipped {
            self.buffers.restore().map_err(torch)?;
        } else {
            self.buffers.adopt_sum().map_err(torch)?;
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
        })
    }

    fn gradients_are_finite(&mut self) -> bool {
        self.parameters
            .gradients
            .with_elements(|elements| match elements {
                Elements::F32(values) => all_finite(values),
                Elements::I64(_) => unreachable!("gradients are made of f32"),
            })
    }

    fn submit_counts(&mut self, counts: Counts) {
        self.control.with_elements(|elements| match elements {
            Elements::I64(values) => values.copy_from_slice(&counts.to_control()),
            Elements::F32(_) => unreachable!("the control buffer is made of i64"),
        });
        self.gate.submit(self.control_region());
    }

    fn reduced_counts(&mut self) -> Counts {
        self.control.with_elements(|elements| match elements {
            Elements::I64(values) => Counts::from_control(values),
            Elements::F32(_) => unreachable!("the control buffer is made of i64"),
        })
    }
}

fn step_failure(source: TchError) -> TrainingError {
    TrainingError::Torch {
        operation: "compute a training step",
        source,
    }
}

fn evaluation_failure(source: TchError) -> TrainingError {
    TrainingError::Torch {
        operation: "evaluate a batch",
        source,
    }
}

/// Looks at whole blocks without a branch in between, which compiles to vector instructions.
fn all_finite(values: &[f32]) -> bool {
    const BLOCK: usize = 4096;
    values.chunks(BLOCK).all(|block| {
        block
            .iter()
            .fold(true, |all, value| all & value.is_finite())
    })
}
