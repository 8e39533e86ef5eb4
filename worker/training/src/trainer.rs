//! One replica: its model, its optimizer, its place in the group.

use std::sync::Arc;

use convoy_common::ids::{EpochIndex, StepIndex};
use convoy_common::schedule::Schedule;
use convoy_common::spec::{MemoryFormat, ModelSpec, OptimizerSpec, Precision, Reproducibility};
use convoy_data::{Batch, DataError, ImageShape, Pipeline};
use convoy_torch::{FlatBuffer, GradientHooks, TorchError};
use tch::{Kind, TchError};

use crate::accuracy::Accuracy;
use crate::average::Average;
use crate::buffers::FlatBuffers;
use crate::counts::CONTROL_ELEMENTS;
use crate::gate::BucketGate;
use crate::gradients::GradientSums;
use crate::inputs::Inputs;
use crate::loss::Loss;
use crate::model::{self, Model, ModelError, StartingWeights};
use crate::optimizer::{Optimizer, Segment};
use crate::reduce::{ReduceError, Reducer, Reduction};
use crate::snapshot::RestoreError;
use crate::state::{Accounting, FlatParameters};
use crate::times::StepTimes;

/// What a replica is made from.
#[derive(Clone, Debug)]
pub struct TrainerSpec {
    /// The network.
    pub model: ModelSpec,
    /// The dataset's images.
    pub shape: ImageShape,
    /// Determines the initial weights, and what dropout leaves out.
    pub seed: u64,
    /// Number format of forward and backward.
    pub precision: Precision,
    /// Whether gradients are summed as integers, so that their sum is the same for any members.
    pub reproducibility: Reproducibility,
    /// Shards of a step over all members; a step may have fewer, never more.
    pub data_shards: u32,
    /// Order of images and convolution weights in memory.
    pub memory_format: MemoryFormat,
    /// Share of the target probability spread over all classes.
    pub label_smoothing: f64,
    /// Weight of each class in the training loss; none weigh all alike.
    pub class_weights: Vec<f32>,
    /// How gradients become updates.
    pub optimizer: OptimizerSpec,
    /// The learning rate of each step.
    pub schedule: Schedule,
}

/// What a step did, over all members.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// Samples of the step.
    pub samples: u64,
    /// Samples whose class was the one with the highest score.
    pub correct: u64,
    /// Mean loss per sample.
    pub loss: f64,
    /// The gradients were not finite: the samples are consumed, nothing else changed.
    pub skipped: bool,
    /// How often it was computed: once, or once more where gradients outgrew the scales with which they become integers.
    pub runs: u32,
}

/// Exact counts of an evaluation, over all members.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EvaluationCounts {
    /// Samples seen.
    pub samples: u64,
    /// Samples whose class was the one with the highest score.
    pub correct: u64,
    /// Mean cross-entropy per sample, without label smoothing.
    pub loss: f64,
}

/// Training can't go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// The dataset could not be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The batches ended before the job did.
    #[error("the data pipeline ended early")]
    NoMoreBatches,
    /// The model could not be built.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// libtorch refused an operation.
    #[error("libtorch could not {operation}: {source}")]
    Torch {
        /// What was tried.
        operation: &'static str,
        /// libtorch's words.
        source: TchError,
    },
    /// libtorch refused a call of ours.
    #[error(transparent)]
    Library(TorchError),
    /// A snapshot is not one of this job.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// The group broke.
    #[error(transparent)]
    Reduce(#[from] ReduceError),
    /// The same step has other gradients each time.
    #[error(
        "the gradients of step {step} outgrew the scales that were measured from them, {runs} times one after the other: the same \
         batches give other gradients each time, so that this job can't be trained with training.reproducibility = \"bitwise\""
    )]
    Unsettled {
        /// The step.
        step: StepIndex,
        /// How often it was computed.
        runs: u32,
    },
    /// Some sample was missed or taken twice.
    #[error(
        "the accounting of epoch {epoch} is off: {} samples with hash sum {:016x} were trained on, the dataset has {} with {:016x}; \
         this is an error in Convoy, please report it with the job spec", found.samples, found.hash_sum, expected.samples, expected.hash_sum
    )]
    Accounting {
        /// The epoch.
        epoch: EpochIndex,
        /// What was trained on.
        found: Accounting,
        /// What the dataset holds.
        expected: Accounting,
    },
}

/// Where batches come from, in the order in which the steps take them.
pub trait BatchSource {
    /// The next batch.
    ///
    /// # Errors
    /// If it could not be read, or if there is none.
    fn next_batch(&mut self) -> Result<Batch, TrainingError>;

    /// Gives a batch's memory back for later ones.
    fn recycle(&mut self, batch: Batch);
}

impl BatchSource for Pipeline {
    fn next_batch(&mut self) -> Result<Batch, TrainingError> {
        self.next()
            .ok_or(TrainingError::NoMoreBatches)?
            .map_err(TrainingError::Data)
    }

    fn recycle(&mut self, batch: Batch) {
        Pipeline::recycle(self, batch);
    }
}

/// One replica of the job's state, and the step that advances it.
pub struct Trainer {
    pub(crate) model: Model,
    pub(crate) parameters: FlatParameters,
    pub(crate) gradients: GradientSums,
    pub(crate) buffers: FlatBuffers,
    pub(crate) optimizer: Optimizer,
    /// The reduced numbers of a step or evaluation; see `Counts::to_control`.
    pub(crate) control: FlatBuffer,
    pub(crate) gate: Arc<BucketGate>,
    pub(crate) accounting: Accounting,
    /// Optimizer updates that were applied.
    pub(crate) updates: u64,
    pub(crate) inputs: Inputs,
    /// Memory for the batches of a step; empty between two.
    pub(crate) batches: Vec<Batch>,
    /// Determines what dropout leaves out.
    pub(crate) seed: u64,
    pub(crate) data_shards: usize,
    pub(crate) precision: Precision,
    pub(crate) loss: Loss,
    /// Present if evaluation and export use an average of the weights.
    pub(crate) average: Option<Average>,
    pub(crate) accuracy: Accuracy,
    /// Of the newest step.
    pub(crate) times: StepTimes,
    /// They own what they call.
    _hooks: GradientHooks,
}

impl Trainer {
    /// Builds the model from its seed. The replica is alone until [`Trainer::connect`].
    ///
    /// # Errors
    /// If the images don't fit the model or libtorch fails.
    pub fn new(spec: TrainerSpec) -> Result<Self, TrainingError> {
        let mut model = model::build(&spec.model, spec.shape, spec.seed)?;
        let parameters = FlatParameters::adopt(&mut model.registry.parameters, spec.memory_format)?;
        let buffers = FlatBuffers::adopt(&mut model.registry.buffers)?;
        let control = FlatBuffer::zeros(CONTROL_ELEMENTS, Kind::Int64);
        let named = &model.registry.parameters;
        let gradients =
            GradientSums::new(spec.reproducibility, spec.data_shards, named, &parameters)?;
        let mut reductions = gradients.buckets(&parameters);
        reductions.push(Reduction::sum(buffers.sum.region(0..buffers.sum.len())));
        reductions.push(Reduction::sum(control.region(0..control.len())));
        reductions.extend(gradients.magnitudes());
        let layout = &parameters.layout;
        let gate = Arc::new(BucketGate::new(
            layout.bucket_of.clone(),
            layout.parameters_per_bucket(),
            reductions,
        ));
        let handles: Vec<_> = named.iter().map(|p| p.tensor.shallow_clone()).collect();
        let hooked = Arc::clone(&gate);
        let hooks = GradientHooks::register(&handles, move |parameter| hooked.filled(parameter))?;
        let torch = |source| TrainingError::Torch {
            operation: "prepare training",
            source,
        };
        let loss = Loss::new(spec.label_smoothing, &spec.class_weights).map_err(torch)?;
        let ema_decay = spec.optimizer.ema_decay;
        let average = ema_decay
            .map(|decay| Average::new(decay, &parameters.values, &buffers.live))
            .transpose()
            .map_err(torch)?;
        let optimizer = Optimizer::new(
            spec.optimizer,
            spec.schedule,
            &parameters.values,
            &parameters.gradients,
            Segment::of_model(&model.registry.parameters, &parameters.layout),
        )?;
        Ok(Self {
            model,
            parameters,
            gradients,
            buffers,
            optimizer,
            control,
            gate,
            accounting: Accounting::default(),
            updates: 0,
            inputs: Inputs::new(spec.shape, spec.memory_format),
            batches: Vec::new(),
            seed: spec.seed,
            data_shards: spec.data_shards as usize,
            precision: spec.precision,
            loss,
            average,
            accuracy: Accuracy::new(spec.model.classes),
            times: StepTimes::default(),
            _hooks: hooks,
        })
    }

    /// What the weights started from, if not from the seed.
    #[must_use]
    pub fn starting_weights(&self) -> Option<&StartingWeights> {
        self.model.start.as_ref()
    }

    /// Where the time of the newest complete step went.
    #[must_use]
    pub fn times(&self) -> StepTimes {
        self.times
    }

    /// What a [`Reducer`] reduces: gradient buckets, then buffers, then counts, then the magnitudes of gradients that are integers.
    #[must_use]
    pub fn reductions(&self) -> &[Reduction] {
        self.gate.reductions()
    }

    /// Joins a group.
    pub fn connect(&self, reducer: Arc<dyn Reducer>) {
        self.gate.connect(reducer);
    }

    /// Leaves the group.
    pub fn disconnect(&self) {
        self.gate.connect(crate::reduce::alone());
    }

    /// Checks that the epoch took every sample exactly once, and starts the accounting of the next.
    ///
    /// # Errors
    /// If it did not.
    pub fn end_epoch(
        &mut self,
        epoch: EpochIndex,
        expected: Accounting,
    ) -> Result<(), TrainingError> {
        std::mem::take(&mut self.accounting).check(epoch, expected)
    }

    pub(crate) fn buffers_reduction(&self) -> usize {
        self.gate.buckets()
    }

    pub(crate) fn control_reduction(&self) -> usize {
        self.gate.buckets() + 1
    }

    pub(crate) fn magnitudes_reduction(&self) -> Option<usize> {
        let place = self.gate.buckets() + 2;
        (place < self.reductions().len()).then_some(place)
    }
}
