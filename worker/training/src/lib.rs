//! What a worker computes: models, the training step, evaluation, and the state that checkpoints keep.
//!
//! A [`Trainer`] owns one replica. It reduces through the [`Reducer`] it is given and knows no collective;
//! which step comes next is decided by the pure [`Course`].
//!
//! **Invariant:** no parameter is written before every reduced value of its step has arrived, and what is then written follows from
//! reduced values alone.

mod accuracy;
mod average;
mod buckets;
mod buffers;
mod counts;
mod course;
mod evaluation;
mod gate;
mod gradients;
mod inputs;
mod loss;
mod memory_format;
pub mod model;
mod optimizer;
mod reduce;
mod scales;
mod snapshot;
mod state;
mod step;
#[cfg(test)]
mod tests;
mod times;
mod trainer;

pub use course::{Course, Leg};
pub use inputs::layout;
pub use reduce::{Operation, ReduceError, ReduceTag, Reducer, Reduction, alone};
pub use snapshot::{HostTensor, RestoreError, Snapshot};
pub use state::Accounting;
pub use times::StepTimes;
pub use trainer::{BatchSource, EvaluationCounts, StepReport, Trainer, TrainerSpec, TrainingError};
