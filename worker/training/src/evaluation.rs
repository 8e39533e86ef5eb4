//! The evaluation.

use convoy_data::Batch;
use convoy_torch::forget_casts;
use tch::TchError;

use crate::counts::Counts;
use crate::loss::evaluation_sum;
use crate::model::Pass;
use crate::reduce::ReduceTag;
use crate::trainer::{BatchSource, EvaluationCounts, Trainer, TrainingError};

impl Trainer {
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

    fn count(&mut self, batch: &Batch, counts: &mut Counts) -> Result<(), TrainingError> {
        let (images, labels) = self.inputs.fill(batch);
        let scores = self.scores(&images, Pass::Evaluation)?;
        let loss = evaluation_sum(&scores, &labels).map_err(failure)?;
        let correct = self.accuracy.correct(&scores, &batch.labels);
        correct
            .and_then(|correct| counts.add(batch, correct, &loss))
            .map_err(failure)
    }
}

fn failure(source: TchError) -> TrainingError {
    TrainingError::Torch {
        operation: "evaluate a batch",
        source,
    }
}
