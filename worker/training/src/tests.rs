//! Replicas trained together on real files, reduced by the simplest group there can be.

mod fixed_point;
mod formats;
mod group;
mod restore;

use std::sync::Arc;

use convoy_common::ids::{EpochIndex, Generation, Phase, Rank, ShardIndex, StepIndex};
use convoy_common::order::dataset_hash_sum;
use convoy_common::partition::{EpochPlan, owned_shards};
use convoy_common::schedule::{Curve, Schedule};
use convoy_common::spec::{
    DataSpec, MemoryFormat, ModelName, ModelSpec, OptimizerName, OptimizerSpec, Precision,
    Reproducibility, Stem,
};
use convoy_data::{
    ImageShape, Layout, Pipeline, SampleOrdering, Splits, Transform, evaluation_requests,
    training_requests,
};

use self::group::{Seat, Table};
use crate::{
    Accounting, BatchSource, ReduceTag, Snapshot, StepReport, Trainer, TrainerSpec, TrainingError,
};

const SAMPLES: u32 = 200;
const TEST_SAMPLES: u32 = 53;
const GLOBAL_BATCH: u64 = 40;
const DATA_SHARDS: u32 = 4;
const SEED: u64 = 7;
const LEARNING_RATE: f64 = 0.05;
const BOTH: [Reproducibility; 2] = [Reproducibility::Fast, Reproducibility::Bitwise];

fn data(folder: &std::path::Path) -> (DataSpec, Splits) {
    let files =
        convoy_data::synthetic::write_idx_dataset(folder, SAMPLES, TEST_SAMPLES, 12, 4, SEED)
            .unwrap();
    let spec = files.data_spec();
    let splits = convoy_data::open(&spec, 4).unwrap();
    (spec, splits)
}

fn small_cnn() -> ModelSpec {
    ModelSpec::new(ModelName::SmallCnn, 4)
}

fn resnet18() -> ModelSpec {
    ModelSpec {
        stem: Stem::Cifar,
        ..ModelSpec::new(ModelName::Resnet18, 4)
    }
}

fn trainer(splits: &Splits) -> Trainer {
    trainer_with(splits, sgd(LEARNING_RATE), SEED)
}

fn sgd(learning_rate: f64) -> OptimizerSpec {
    OptimizerSpec {
        momentum: 0.9,
        nesterov: true,
        weight_decay: 5e-4,
        ..OptimizerSpec::new(OptimizerName::Sgd, learning_rate)
    }
}

fn trainer_with(splits: &Splits, optimizer: OptimizerSpec, seed: u64) -> Trainer {
    build(small_cnn(), splits.train.shape(), optimizer, seed)
}

/// A replica of any model.
pub(crate) fn trainer_of(model: ModelSpec, shape: ImageShape, learning_rate: f64) -> Trainer {
    build(model, shape, sgd(learning_rate), SEED)
}

fn build(model: ModelSpec, shape: ImageShape, optimizer: OptimizerSpec, seed: u64) -> Trainer {
    Trainer::new(trainer_spec(model, shape, optimizer, seed)).unwrap()
}

fn trainer_spec(
    model: ModelSpec,
    shape: ImageShape,
    optimizer: OptimizerSpec,
    seed: u64,
) -> TrainerSpec {
    TrainerSpec {
        model,
        shape,
        precision: Precision::F32,
        reproducibility: Reproducibility::Bitwise,
        data_shards: DATA_SHARDS,
        memory_format: MemoryFormat::ChannelsLast,
        seed,
        label_smoothing: 0.1,
        class_weights: Vec::new(),
        schedule: Schedule {
            peak: optimizer.learning_rate,
            warmup_steps: 2,
            curve: Curve::Cosine {
                total_steps: 50,
                final_factor: 0.0,
            },
        },
        optimizer,
    }
}

fn plan() -> EpochPlan {
    EpochPlan::new(u64::from(SAMPLES), GLOBAL_BATCH, DATA_SHARDS).unwrap()
}

fn batches(spec: &DataSpec, splits: &Splits, owned: &[ShardIndex], epochs: u32) -> Pipeline {
    batches_in(Layout::Nhwc, spec, splits, owned, epochs)
}

fn batches_in(
    layout: Layout,
    spec: &DataSpec,
    splits: &Splits,
    owned: &[ShardIndex],
    epochs: u32,
) -> Pipeline {
    let transform = Transform::training(
        splits.train.shape(),
        &spec.mean,
        &spec.std,
        &spec.augment,
        SEED,
    )
    .unwrap()
    .in_layout(layout);
    let requests = training_requests(
        &plan(),
        EpochIndex(0)..EpochIndex(epochs),
        owned,
        StepIndex(0),
    );
    Pipeline::start(
        Arc::clone(&splits.train),
        transform,
        SampleOrdering::Shuffled { seed: SEED },
        requests,
        1,
        4,
    )
    .unwrap()
}

fn tag(step: u64) -> ReduceTag {
    ReduceTag {
        generation: Generation(1),
        step: StepIndex(step),
        phase: Phase::Train,
    }
}

/// Trains `steps` steps with `world` members on threads of their own; each one's state and reports.
fn train(
    trainer_spec: impl Fn(ImageShape) -> TrainerSpec,
    world: u32,
    steps: u64,
) -> Vec<(Snapshot, Vec<StepReport>)> {
    let folder = tempfile::tempdir().unwrap();
    let (spec, splits) = data(folder.path());
    let table = Arc::new(Table::default());
    let member = |rank: u32| {
        let (table, spec, splits) = (Arc::clone(&table), spec.clone(), splits.clone());
        let trainer_spec = trainer_spec(splits.train.shape());
        move || {
            let mut trainer = Trainer::new(trainer_spec).unwrap();
            trainer.connect(Arc::new(Seat::new(&table, world, trainer.reductions())));
            let owned = owned_shards(DATA_SHARDS, world, Rank(rank));
            let epochs = u32::try_from(steps.div_ceil(plan().steps())).unwrap();
            let mut source = batches(&spec, &splits, &owned, epochs);
            let mut reports = Vec::new();
            for step in 0..steps {
                let batch = plan().batch(step % plan().steps());
                reports.push(
                    trainer
                        .step(tag(step), owned.len(), batch.end - batch.start, &mut source)
                        .unwrap(),
                );
                if (step + 1).is_multiple_of(plan().steps()) {
                    let whole = Accounting {
                        samples: u64::from(SAMPLES),
                        hash_sum: dataset_hash_sum(u64::from(SAMPLES)),
                    };
                    trainer.end_epoch(EpochIndex(0), whole).unwrap();
                }
            }
            (trainer.snapshot().unwrap(), reports)
        }
    };
    let threads: Vec<_> = (0..world)
        .map(|rank| std::thread::spawn(member(rank)))
        .collect();
    threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect()
}

fn largest_difference(one: &Snapshot, other: &Snapshot) -> f32 {
    let floats = |snapshot: &Snapshot| -> Vec<f32> {
        let model = snapshot
            .tensors
            .iter()
            .filter(|t| t.name.starts_with("model.") && !t.shape.is_empty());
        model
            .flat_map(|t| {
                t.bytes
                    .chunks_exact(4)
                    .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
                    .collect::<Vec<_>>()
            })
            .collect()
    };
    floats(one)
        .iter()
        .zip(floats(other))
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

#[test]
fn two_members_learn_what_one_does_and_hold_the_same_bytes() {
    check_two_members(&small_cnn(), LEARNING_RATE, 2 * plan().steps());
}

#[test]
fn two_members_with_a_resnet_learn_what_one_does_and_hold_the_same_bytes() {
    // Small, because a ResNet that learns fast makes much of every rounding.
    check_two_members(&resnet18(), 0.001, 3);
}

fn check_two_members(model: &ModelSpec, learning_rate: f64, steps: u64) {
    let spec = |reproducibility| {
        move |shape| TrainerSpec {
            reproducibility,
            ..trainer_spec(model.clone(), shape, sgd(learning_rate), SEED)
        }
    };
    let [fast, bitwise] = BOTH.map(|reproducibility| {
        let alone = train(spec(reproducibility), 1, steps).remove(0);
        let pair = train(spec(reproducibility), 2, steps);
        assert_eq!(pair[0].0, pair[1].0, "both hold the same state");
        assert_eq!(pair[0].1, pair[1].1, "both report the same numbers");
        let difference = largest_difference(&alone.0, &pair[0].0);
        assert!(
            difference < 1e-4,
            "one member and two differ by {difference}"
        );
        if reproducibility == Reproducibility::Bitwise {
            assert_eq!(alone, pair[0], "for bitwise there is no difference at all");
        }
        alone
    });
    let difference = largest_difference(&fast.0, &bitwise.0);
    assert!(
        difference < 1e-4,
        "floats and integers differ by {difference}"
    );
}

#[test]
fn training_lowers_the_loss() {
    let spec = |shape| trainer_spec(small_cnn(), shape, sgd(LEARNING_RATE), SEED);
    let (_, reports) = train(spec, 1, 4 * plan().steps()).remove(0);
    let (first, last) = (reports[0].loss, reports[reports.len() - 1].loss);
    assert!(last < 0.7 * first, "from {first} to {last}");
    assert!(
        reports
            .iter()
            .all(|report| !report.skipped && report.samples == GLOBAL_BATCH)
    );
}

#[test]
fn evaluation_counts_every_test_sample_once_whatever_the_micro_batches() {
    let folder = tempfile::tempdir().unwrap();
    let (spec, splits) = data(folder.path());
    let mut trainer = trainer(&splits);
    let counts = [7, 50, 1000].map(|micro_batch| {
        let owned = owned_shards(DATA_SHARDS, 1, Rank(0));
        let requests: Vec<_> =
            evaluation_requests(u64::from(TEST_SAMPLES), DATA_SHARDS, &owned, micro_batch)
                .collect();
        let transform = Transform::evaluation(splits.test.shape(), &spec.mean, &spec.std)
            .unwrap()
            .in_layout(Layout::Nhwc);
        let number = requests.len();
        let mut source = Pipeline::start(
            Arc::clone(&splits.test),
            transform,
            SampleOrdering::Sequential,
            requests.into_iter(),
            1,
            4,
        )
        .unwrap();
        trainer
            .evaluate(
                ReduceTag {
                    phase: Phase::Evaluate,
                    ..tag(0)
                },
                number,
                &mut source,
            )
            .unwrap()
    });
    assert!(
        counts
            .iter()
            .all(|count| count.samples == u64::from(TEST_SAMPLES)
                && count.correct == counts[0].correct),
        "{counts:?}"
    );
}

/// Passes batches on and spoils one of them.
struct Spoiled {
    inner: Pipeline,
    batch: u32,
}

impl BatchSource for Spoiled {
    fn next_batch(&mut self) -> Result<convoy_data::Batch, TrainingError> {
        let mut batch = self.inner.next_batch()?;
        if self.batch == 0 {
            batch.images[0] = f32::INFINITY;
        }
        self.batch = self.batch.wrapping_sub(1);
        Ok(batch)
    }

    fn recycle(&mut self, batch: convoy_data::Batch) {
        BatchSource::recycle(&mut self.inner, batch);
    }
}

#[test]
fn a_step_that_is_not_finite_is_consumed_and_changes_nothing() {
    BOTH.into_iter().for_each(check_not_finite);
}

fn check_not_finite(reproducibility: Reproducibility) {
    let folder = tempfile::tempdir().unwrap();
    let (spec, splits) = data(folder.path());
    let averaged = OptimizerSpec {
        ema_decay: Some(0.9),
        ..OptimizerSpec::new(OptimizerName::AdamW, 0.01)
    };
    let mut trainer = Trainer::new(TrainerSpec {
        reproducibility,
        ..trainer_spec(small_cnn(), splits.train.shape(), averaged, SEED)
    })
    .unwrap();
    let owned = owned_shards(DATA_SHARDS, 1, Rank(0));
    let mut source = Spoiled {
        inner: batches(&spec, &splits, &owned, 1),
        batch: DATA_SHARDS,
    };
    trainer
        .step(tag(0), owned.len(), GLOBAL_BATCH, &mut source)
        .unwrap();
    // Everything but the accounting of the epoch, which goes on.
    let kept = |trainer: &Trainer| {
        let mut state = trainer.snapshot().unwrap();
        state
            .tensors
            .retain(|tensor| !tensor.name.starts_with("state.epoch"));
        state
    };
    let before = kept(&trainer);

    let report = trainer
        .step(tag(1), owned.len(), GLOBAL_BATCH, &mut source)
        .unwrap();
    assert!(
        report.skipped && report.samples == GLOBAL_BATCH,
        "{report:?}"
    );
    assert_eq!(kept(&trainer), before);

    let report = trainer
        .step(tag(2), owned.len(), GLOBAL_BATCH, &mut source)
        .unwrap();
    assert!(!report.skipped);
    assert_ne!(kept(&trainer).weights_sha256(), before.weights_sha256());
}

#[test]
fn a_broken_group_changes_no_state_and_leaves_the_trainer_usable() {
    let folder = tempfile::tempdir().unwrap();
    let (spec, splits) = data(folder.path());
    let mut trainer = trainer(&splits);
    let before = trainer.snapshot().unwrap();
    trainer.connect(Arc::new(Seat::broken_at(0, trainer.reductions())));
    let owned = owned_shards(DATA_SHARDS, 1, Rank(0));
    let error = trainer
        .step(
            tag(0),
            owned.len(),
            GLOBAL_BATCH,
            &mut batches(&spec, &splits, &owned, 1),
        )
        .unwrap_err();
    assert!(error.to_string().contains("rank 1 is gone"), "{error}");

    trainer.disconnect();
    assert_eq!(trainer.snapshot().unwrap(), before);
    trainer
        .step(
            tag(0),
            owned.len(),
            GLOBAL_BATCH,
            &mut batches(&spec, &splits, &owned, 1),
        )
        .unwrap();
}

#[test]
fn an_epoch_that_missed_samples_is_an_error_with_both_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let (spec, splits) = data(folder.path());
    let mut trainer = trainer(&splits);
    let owned = owned_shards(DATA_SHARDS, 1, Rank(0));
    trainer
        .step(
            tag(0),
            owned.len(),
            GLOBAL_BATCH,
            &mut batches(&spec, &splits, &owned, 1),
        )
        .unwrap();
    let whole = Accounting {
        samples: u64::from(SAMPLES),
        hash_sum: dataset_hash_sum(u64::from(SAMPLES)),
    };
    let error = trainer
        .end_epoch(EpochIndex(0), whole)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("epoch 0")
            && error.contains("40 samples")
            && error.contains("dataset has 200"),
        "{error}"
    );
}

#[test]
fn weights_start_as_pytorch_draws_them_and_from_the_seed_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (_, splits) = data(folder.path());
    let (one, again) = (
        trainer(&splits).snapshot().unwrap(),
        trainer(&splits).snapshot().unwrap(),
    );
    assert_eq!(one, again);
    let conv2 = one
        .tensors
        .iter()
        .find(|t| t.name == "model.conv2.weight")
        .unwrap();
    let values: Vec<f64> = conv2
        .bytes
        .chunks_exact(4)
        .map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap())))
        .collect();
    let bound = 1.0 / (32.0f64 * 9.0).sqrt();
    let deviation = (values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64).sqrt();
    assert!(values.iter().all(|v| v.abs() <= bound));
    assert!(
        (deviation - bound / 3.0f64.sqrt()).abs() < 0.02 * bound,
        "an even draw from +-{bound} deviates by {deviation}"
    );
}

#[test]
fn tensors_are_named_as_pytorch_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let (_, splits) = data(folder.path());
    let snapshot = trainer(&splits).snapshot().unwrap();
    let names: Vec<_> = snapshot
        .tensors
        .iter()
        .filter_map(|t| t.name.strip_prefix("model."))
        .collect();
    let expected = [
        "conv1.weight",
        "bn1.weight",
        "bn1.bias",
        "conv2.weight",
        "bn2.weight",
        "bn2.bias",
        "fc1.weight",
        "fc1.bias",
        "fc2.weight",
        "fc2.bias",
        "bn1.running_mean",
        "bn1.running_var",
        "bn2.running_mean",
        "bn2.running_var",
        "bn1.num_batches_tracked",
        "bn2.num_batches_tracked",
    ];
    assert_eq!(names, expected);
}
