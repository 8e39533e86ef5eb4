//! From a job spec to a replica that is ready to join a group.

use std::sync::Arc;

use convoy_common::ids::WorkerRef;
use convoy_common::order::dataset_hash_sum;
use convoy_common::partition::{EpochPlan, PlanError};
use convoy_common::schedule::Schedule;
use convoy_common::spec::JobSpec;
use convoy_data::{DataError, Splits};
use convoy_training::{Accounting, Course, Trainer, TrainerSpec, TrainingError};

/// Why a replica could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Training(#[from] TrainingError),
}

/// Everything a job needs that does not depend on the group.
pub(crate) struct Loaded {
    pub(crate) spec: Arc<JobSpec>,
    pub(crate) me: WorkerRef,
    pub(crate) splits: Splits,
    pub(crate) plan: EpochPlan,
    pub(crate) course: Course,
    /// What the accounting of a complete epoch must come to.
    pub(crate) whole_epoch: Accounting,
    pub(crate) trainer: Trainer,
}

pub(crate) fn load(spec: Arc<JobSpec>, me: WorkerRef) -> Result<Loaded, LoadError> {
    let threads = i32::try_from(spec.training.threads_per_worker).unwrap_or(i32::MAX);
    tch::set_num_threads(threads);
    let splits = convoy_data::open(&spec.data, spec.model.classes)?;
    let samples = splits.train.len() as u64;
    let plan = EpochPlan::new(
        samples,
        u64::from(spec.training.global_batch),
        spec.data_shards(),
    )?;
    let course = Course {
        steps_per_epoch: plan.steps(),
        epochs: spec.training.epochs,
        checkpoint_every_epochs: spec.checkpoints.every_epochs,
    };
    let trainer = Trainer::new(TrainerSpec {
        model: spec.model.clone(),
        shape: splits.train.shape(),
        seed: spec.training.seed,
        precision: spec.training.precision,
        reproducibility: spec.training.reproducibility,
        data_shards: spec.data_shards(),
        memory_format: spec.training.memory_format,
        label_smoothing: spec.training.label_smoothing,
        class_weights: spec.training.class_weights.clone(),
        optimizer: spec.optimizer.clone(),
        schedule: Schedule::of_job(&spec, course.steps_per_epoch),
    })?;
    tell_start(&trainer);
    let whole_epoch = Accounting {
        samples,
        hash_sum: dataset_hash_sum(samples),
    };
    tracing::info!(
        samples,
        steps_per_epoch = plan.steps(),
        threads,
        "data and model are loaded"
    );
    Ok(Loaded {
        spec,
        me,
        splits,
        plan,
        course,
        whole_epoch,
        trainer,
    })
}

fn tell_start(trainer: &Trainer) {
    let Some(start) = trainer.starting_weights() else {
        return;
    };
    let file = start.file.display();
    tracing::info!(%file, tensors = start.tensors, "weights start from model.init");
    if let Some(head) = &start.new_head {
        tracing::info!(
            layer = head.layer,
            classes_in_file = head.found,
            classes = head.classes,
            "the last layer starts anew: the file's is for another number of classes"
        );
    }
}
