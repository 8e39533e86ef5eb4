//! `training.reproducibility = "bitwise"`: the state of a job is the same bytes for any number of members, with all in play that
//! could tell them apart: shards that don't divide by members, augmentation, BatchNorm, dropout, momentum, clipping, an average of
//! the weights, steps that are computed again and steps that are skipped.
#![expect(clippy::unwrap_used, reason = "a test that can not go on should panic")]

#[path = "../src/replica/reducer.rs"]
mod reducer;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use convoy_collective::InProcess;
use convoy_common::ids::{EpochIndex, Generation, Phase, Rank, ShardIndex, StepIndex};
use convoy_common::order::dataset_hash_sum;
use convoy_common::partition::{EpochPlan, owned_shards};
use convoy_common::schedule::{Curve, Schedule};
use convoy_common::spec::{
    AugmentSpec, DataSpec, MemoryFormat, ModelName, ModelSpec, OptimizerName, OptimizerSpec,
    Precision, Reproducibility, Stem,
};
use convoy_data::synthetic::write_idx_dataset;
use convoy_data::{Batch, Pipeline, SampleOrdering, Splits, Transform, training_requests};
use convoy_training::{
    Accounting, BatchSource, ReduceTag, StepReport, Trainer, TrainerSpec, TrainingError, layout,
};
use reducer::GroupReducer;

const SEED: u64 = 23;
const CLASSES: u32 = 4;
/// Steps have 40 or 41 samples, shards 8 or 9.
const SAMPLES: u32 = 203;
const GLOBAL_BATCH: u64 = 41;
/// Neither 2 nor 3 nor 4 members have equally many.
const DATA_SHARDS: u32 = 5;
const MEMBERS: [u32; 4] = [1, 2, 3, 4];

/// A job, and what happens to it.
#[derive(Clone)]
struct Job {
    model: ModelSpec,
    optimizer: OptimizerSpec,
    reproducibility: Reproducibility,
    precision: Precision,
    steps: u64,
    /// A shard of a step has an image that is no number.
    spoiled: Option<(StepIndex, ShardIndex)>,
    /// Before this step all members believe that gradients were far smaller than they are.
    misjudged: Option<u64>,
}

/// What a member holds in the end.
#[derive(Clone, Debug, PartialEq)]
struct End {
    state_sha256: [u8; 32],
    weights_sha256: [u8; 32],
    reports: Vec<StepReport>,
}

fn small_cnn() -> Job {
    let optimizer = OptimizerSpec {
        momentum: 0.9,
        nesterov: true,
        weight_decay: 5e-4,
        decay_norm_and_bias: false,
        clip_norm: Some(0.5),
        ema_decay: Some(0.9),
        ..OptimizerSpec::new(OptimizerName::Sgd, 0.05)
    };
    Job {
        model: ModelSpec {
            dropout: 0.2,
            ..ModelSpec::new(ModelName::SmallCnn, CLASSES)
        },
        optimizer,
        reproducibility: Reproducibility::Bitwise,
        precision: Precision::F32,
        steps: 12,
        spoiled: None,
        misjudged: None,
    }
}

fn trainer_spec(job: &Job, splits: &Splits) -> TrainerSpec {
    TrainerSpec {
        model: job.model.clone(),
        shape: splits.train.shape(),
        seed: SEED,
        precision: job.precision,
        reproducibility: job.reproducibility,
        data_shards: DATA_SHARDS,
        memory_format: MemoryFormat::ChannelsLast,
        label_smoothing: 0.1,
        class_weights: vec![0.5, 1.0, 1.0, 1.5],
        schedule: Schedule {
            peak: job.optimizer.learning_rate,
            warmup_steps: 2,
            curve: Curve::Cosine {
                total_steps: 20,
                final_factor: 0.0,
            },
        },
        optimizer: job.optimizer.clone(),
    }
}

fn plan() -> EpochPlan {
    EpochPlan::new(u64::from(SAMPLES), GLOBAL_BATCH, DATA_SHARDS).unwrap()
}

fn dataset(folder: &Path) -> (DataSpec, Splits) {
    let files = write_idx_dataset(folder, SAMPLES, 10, 12, CLASSES, SEED).unwrap();
    let data = DataSpec {
        augment: AugmentSpec {
            crop_padding: 2,
            flip: true,
        },
        ..files.data_spec()
    };
    let splits = convoy_data::open(&data, CLASSES).unwrap();
    (data, splits)
}

/// What each of so many members holds after the job.
fn train(job: &Job, members: u32) -> Vec<End> {
    let folder = tempfile::tempdir().unwrap();
    let (data, splits) = dataset(folder.path());
    std::thread::scope(|scope| {
        let threads: Vec<_> = InProcess::group(members)
            .into_iter()
            .zip(0..)
            .map(|(group, rank)| {
                let (data, splits) = (&data, &splits);
                scope.spawn(move || member(job, group, Rank(rank), members, data, splits))
            })
            .collect();
        let ends = threads.into_iter().map(|thread| thread.join().unwrap());
        ends.collect()
    })
}

fn member(
    job: &Job,
    group: InProcess,
    rank: Rank,
    members: u32,
    data: &DataSpec,
    splits: &Splits,
) -> End {
    tch::set_num_threads(1);
    let mut trainer = Trainer::new(trainer_spec(job, splits)).unwrap();
    let reducer = GroupReducer::new(Box::new(group), trainer.reductions());
    trainer.connect(Arc::new(reducer));
    let plan = plan();
    let shards = owned_shards(DATA_SHARDS, members, rank);
    let mut batches = Spoiled {
        inner: pipeline(data, splits, &plan, &shards),
        spoiled: job.spoiled,
    };
    let mut reports = Vec::new();
    for step in 0..job.steps {
        if job.misjudged == Some(step) {
            misjudge(&mut trainer);
        }
        let (epoch, within) = (step / plan.steps(), step % plan.steps());
        let batch = plan.batch(within);
        let size = batch.end - batch.start;
        let report = trainer
            .step(tag(step), shards.len(), size, &mut batches)
            .unwrap();
        // What is no number is not equal to itself.
        let loss = if report.skipped { -1.0 } else { report.loss };
        reports.push(StepReport { loss, ..report });
        if within + 1 == plan.steps() {
            let whole = Accounting {
                samples: u64::from(SAMPLES),
                hash_sum: dataset_hash_sum(u64::from(SAMPLES)),
            };
            let epoch = EpochIndex(u32::try_from(epoch).unwrap());
            trainer.end_epoch(epoch, whole).unwrap();
        }
    }
    let state = trainer.snapshot().unwrap();
    End {
        state_sha256: state.state_sha256(),
        weights_sha256: state.weights_sha256(),
        reports,
    }
}

fn tag(step: u64) -> ReduceTag {
    ReduceTag {
        generation: Generation(1),
        step: StepIndex(step),
        phase: Phase::Train,
    }
}

fn pipeline(data: &DataSpec, splits: &Splits, plan: &EpochPlan, shards: &[ShardIndex]) -> Pipeline {
    let train = Arc::clone(&splits.train);
    let transform = Transform::training(train.shape(), &data.mean, &data.std, &data.augment, SEED)
        .unwrap()
        .in_layout(layout(MemoryFormat::ChannelsLast));
    let requests = training_requests(plan, EpochIndex(0)..EpochIndex(9), shards, StepIndex(0));
    let ordering = SampleOrdering::Shuffled { seed: SEED };
    Pipeline::start(train, transform, ordering, requests, 1, 6).unwrap()
}

/// Passes batches on and spoils one of them.
struct Spoiled {
    inner: Pipeline,
    spoiled: Option<(StepIndex, ShardIndex)>,
}

impl BatchSource for Spoiled {
    fn next_batch(&mut self) -> Result<Batch, TrainingError> {
        let mut batch = self.inner.next_batch()?;
        if self.spoiled == Some((batch.request.step, batch.request.shard)) {
            batch.images[3] = f32::NAN;
        }
        Ok(batch)
    }

    fn recycle(&mut self, batch: Batch) {
        BatchSource::recycle(&mut self.inner, batch);
    }
}

fn misjudge(trainer: &mut Trainer) {
    let mut state = trainer.snapshot().unwrap();
    let magnitudes = state
        .tensors
        .iter_mut()
        .find(|tensor| tensor.name == "state.magnitudes");
    for bytes in magnitudes.unwrap().bytes.chunks_exact_mut(4) {
        let magnitude = f32::from_le_bytes(bytes.try_into().unwrap());
        bytes.copy_from_slice(&(magnitude / 1_000.0).to_le_bytes());
    }
    trainer.restore(&state).unwrap();
}

/// All members of groups of all sizes end alike; how they end.
#[track_caller]
fn check(job: &Job) -> End {
    let ends = MEMBERS.map(|members| train(job, members));
    for (ends, members) in ends.iter().zip(MEMBERS) {
        for (end, rank) in ends.iter().zip(0..) {
            assert_eq!(*end, ends[0], "rank {rank} of {members}");
        }
    }
    let [alone, groups @ ..] = ends;
    for (ends, members) in groups.iter().zip(&MEMBERS[1..]) {
        assert_eq!(ends[0], alone[0], "{members} members");
    }
    alone[0].clone()
}

#[test]
fn any_number_of_members_ends_with_the_same_bytes() {
    let end = check(&small_cnn());
    assert!(end.reports.iter().all(|report| !report.skipped));
    let runs: Vec<u32> = end.reports.iter().map(|report| report.runs).collect();
    assert_eq!(runs[..2], [2, 1], "only the first step is computed twice");
    let (first, last) = (end.reports[0].loss, end.reports[11].loss);
    assert!(last < first, "from {first} to {last}");
}

#[test]
fn any_number_of_members_ends_with_the_same_bytes_of_a_resnet_in_half_precision() {
    check(&Job {
        model: ModelSpec {
            stem: Stem::Cifar,
            ..ModelSpec::new(ModelName::Resnet18, CLASSES)
        },
        optimizer: OptimizerSpec {
            clip_norm: Some(1.0),
            ..OptimizerSpec::new(OptimizerName::AdamW, 1e-3)
        },
        precision: Precision::Bf16,
        steps: 2,
        ..small_cnn()
    });
}

/// The check can fail: floats are added in the order of members.
#[test]
fn sum_of_floats_tells_the_number_of_members() {
    let fast = Job {
        reproducibility: Reproducibility::Fast,
        ..small_cnn()
    };
    let weights: BTreeSet<_> = MEMBERS
        .iter()
        .map(|members| train(&fast, *members)[0].weights_sha256)
        .collect();
    assert_eq!(weights.len(), MEMBERS.len());
}

#[test]
fn step_whose_gradients_outgrow_their_scales_is_computed_again_by_all() {
    let end = check(&Job {
        misjudged: Some(5),
        ..small_cnn()
    });
    let again: Vec<usize> = (0..12)
        .filter(|step| end.reports[*step].runs == 2)
        .collect();
    assert_eq!(again, [0, 5]);
    assert_ne!(
        end.state_sha256,
        train(&small_cnn(), 1)[0].state_sha256,
        "with other scales, other roundings"
    );
}

#[test]
fn step_that_is_not_finite_is_skipped_by_all() {
    for step in [0, 6] {
        let end = check(&Job {
            spoiled: Some((StepIndex(step), ShardIndex(3))),
            ..small_cnn()
        });
        let skipped: Vec<u64> = (0..12)
            .filter(|step| end.reports[*step as usize].skipped)
            .collect();
        assert_eq!(skipped, [step]);
    }
}

#[test]
fn other_optimizers_keep_the_bytes_too() {
    for name in [OptimizerName::AdamW, OptimizerName::Lars] {
        check(&Job {
            optimizer: OptimizerSpec {
                momentum: if name == OptimizerName::Lars {
                    0.9
                } else {
                    0.0
                },
                ..OptimizerSpec::new(name, 1e-2)
            },
            steps: 4,
            ..small_cnn()
        });
    }
}
