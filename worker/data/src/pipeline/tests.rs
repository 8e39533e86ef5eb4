use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;

use convoy_common::ids::{EpochIndex, ShardIndex, StepIndex};
use convoy_common::order::{SampleOrder, sample_hash};
use convoy_common::partition::EpochPlan;
use convoy_common::spec::AugmentSpec;
use proptest::prelude::*;

use super::*;
use crate::dataset::{ImageShape, Sample};
use crate::requests::{Evaluation, evaluation_requests, job_requests, training_requests};
use crate::transform::Layout;

const SHAPE: ImageShape = ImageShape {
    channels: 1,
    height: 4,
    width: 4,
};
const SAMPLES: u64 = 103;
const SEED: u64 = 11;

/// Sample `i` has all pixels and the label `i`, except for the one that fails and the one that panics.
#[derive(Default)]
struct Counting {
    fails_at: Option<usize>,
    panics_at: Option<usize>,
    pixels: Vec<[u8; 16]>,
}

impl Counting {
    fn new() -> Self {
        let pixels = (0..SAMPLES).map(|index| [index as u8; 16]).collect();
        Self {
            pixels,
            ..Self::default()
        }
    }
}

impl Dataset for Counting {
    fn len(&self) -> usize {
        self.pixels.len()
    }

    fn shape(&self) -> ImageShape {
        SHAPE
    }

    fn classes(&self) -> u32 {
        SAMPLES as u32
    }

    fn get(&self, index: usize) -> Result<Sample<'_>, DataError> {
        assert!(self.panics_at != Some(index), "sample {index} panics");
        if self.fails_at == Some(index) {
            return Err(DataError::NoSuchSample {
                index,
                samples: self.pixels.len(),
            });
        }
        Ok(Sample {
            pixels: &self.pixels[index],
            label: index as u32,
        })
    }

    fn index_hash(&self) -> [u8; 32] {
        [0; 32]
    }
}

fn plain() -> Transform {
    Transform::evaluation(SHAPE, &[0.0], &[1.0]).unwrap()
}

fn augmented() -> Transform {
    let augment = AugmentSpec {
        crop_padding: 2,
        flip: true,
    };
    Transform::training(SHAPE, &[0.5], &[0.5], &augment, SEED).unwrap()
}

fn training() -> impl Iterator<Item = BatchRequest> + Send + 'static {
    let plan = EpochPlan::new(SAMPLES, 20, 3).unwrap();
    let shards = [0, 1, 2].map(ShardIndex);
    training_requests(&plan, EpochIndex(0)..EpochIndex(2), &shards, StepIndex(0))
}

fn start_training(threads: usize, depth: usize) -> Pipeline {
    let ordering = SampleOrdering::Shuffled { seed: SEED };
    Pipeline::start(
        Arc::new(Counting::new()),
        augmented(),
        ordering,
        training(),
        threads,
        depth,
    )
    .unwrap()
}

/// One sample per batch, in the order of the dataset.
fn start_one_by_one(dataset: Counting, threads: usize, depth: usize) -> Pipeline {
    let requests = evaluation_requests(SAMPLES, 1, &[ShardIndex(0)], 1);
    Pipeline::start(
        Arc::new(dataset),
        plain(),
        SampleOrdering::Sequential,
        requests,
        threads,
        depth,
    )
    .unwrap()
}

fn drain(pipeline: &Pipeline) -> Vec<Batch> {
    std::iter::from_fn(|| pipeline.next())
        .map(Result::unwrap)
        .collect()
}

fn bits(batches: &[Batch]) -> Vec<(BatchRequest, Vec<u32>, Vec<i64>, u64)> {
    let bits_of = |batch: &Batch| batch.images.iter().map(|value| value.to_bits()).collect();
    let parts = |batch: &Batch| {
        (
            batch.request.clone(),
            bits_of(batch),
            batch.labels.clone(),
            batch.sample_hash_sum,
        )
    };
    batches.iter().map(parts).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn threads_and_depth_change_no_bit_and_no_order(threads in 1usize..9, depth in 1usize..9) {
        let expected = drain(&start_training(1, 1));
        let found = drain(&start_training(threads, depth));
        prop_assert_eq!(bits(&found), bits(&expected));
        prop_assert_eq!(found.iter().map(|batch| batch.request.clone()).collect::<Vec<_>>(), training().collect::<Vec<_>>());
    }

    #[test]
    fn pipeline_that_is_dropped_early_ends(threads in 1usize..5, depth in 1usize..5, taken in 0usize..30) {
        let pipeline = start_training(threads, depth);
        for _ in 0..taken {
            pipeline.next().unwrap().unwrap();
        }
    }
}

#[test]
fn each_batch_holds_the_samples_of_its_positions_and_their_hash_sum() {
    for batch in drain(&start_training(2, 3)) {
        let order = SampleOrder::new(SEED, batch.request.epoch, SAMPLES);
        let samples: Vec<u64> = batch
            .request
            .positions
            .clone()
            .map(|position| order.sample_at(position))
            .collect();
        let labels: Vec<u64> = batch.labels.iter().map(|label| *label as u64).collect();
        assert_eq!(labels, samples);
        let sum = samples
            .iter()
            .fold(0u64, |sum, sample| sum.wrapping_add(sample_hash(*sample)));
        assert_eq!(batch.sample_hash_sum, sum);
        assert_eq!(batch.images.len(), batch.len() * SHAPE.values());
    }
}

#[test]
fn epochs_come_in_different_orders_with_the_same_hash_sum() {
    let batches = drain(&start_training(2, 3));
    let (first, second): (Vec<_>, Vec<_>) = batches
        .iter()
        .partition(|batch| batch.request.epoch == EpochIndex(0));
    let labels = |epoch: &[&Batch]| {
        epoch
            .iter()
            .flat_map(|batch| batch.labels.clone())
            .collect::<Vec<_>>()
    };
    let sum = |epoch: &[&Batch]| {
        epoch
            .iter()
            .fold(0u64, |sum, batch| sum.wrapping_add(batch.sample_hash_sum))
    };
    assert_ne!(labels(&first), labels(&second));
    assert_eq!(sum(&first), sum(&second));
    assert_eq!(
        sum(&first),
        (0..SAMPLES).fold(0u64, |sum, sample| sum.wrapping_add(sample_hash(sample)))
    );
}

#[test]
fn sequential_pipeline_gives_the_samples_as_stored() {
    let batches = drain(&start_one_by_one(Counting::new(), 3, 4));
    let labels: Vec<i64> = batches
        .iter()
        .flat_map(|batch| batch.labels.clone())
        .collect();
    assert_eq!(labels, (0..SAMPLES as i64).collect::<Vec<_>>());
    assert!(
        batches
            .iter()
            .all(|batch| *batch.images == [batch.labels[0] as f32 / 255.0; 16])
    );
}

#[test]
fn never_more_than_depth_batches_are_ahead() {
    let asked = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&asked);
    let requests = evaluation_requests(SAMPLES, 1, &[ShardIndex(0)], 1).inspect(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    let dataset = Arc::new(Counting::new());
    let pipeline =
        Pipeline::start(dataset, plain(), SampleOrdering::Sequential, requests, 4, 3).unwrap();
    let mut taken = 0;
    while let Some(batch) = pipeline.next() {
        batch.unwrap();
        let ahead = asked.load(Ordering::SeqCst) - taken;
        assert!(
            ahead <= 3 + 1,
            "{ahead} batches ahead, the one just taken included"
        );
        taken += 1;
    }
    assert_eq!(taken, SAMPLES);
}

#[test]
fn recycled_memory_is_used_again() {
    let (depth, ordering) = (3, SampleOrdering::Shuffled { seed: SEED });
    let plan = EpochPlan::new(SAMPLES, 20, 1).unwrap();
    let requests = training_requests(
        &plan,
        EpochIndex(0)..EpochIndex(50),
        &[ShardIndex(0)],
        StepIndex(0),
    );
    let pipeline = Pipeline::start(
        Arc::new(Counting::new()),
        augmented(),
        ordering,
        requests,
        2,
        depth,
    )
    .unwrap();
    let mut memory = BTreeSet::new();
    let mut batches = 0;
    while let Some(batch) = pipeline.next() {
        let batch = batch.unwrap();
        memory.insert((batch.images.as_ptr(), batch.labels.as_ptr()));
        batches += 1;
        pipeline.recycle(batch);
    }
    assert_eq!(batches, 300);
    // Each of the depth + 1 buffers may grow once, as batches differ by one sample.
    assert!(
        memory.len() <= 2 * (depth + 1),
        "{} different buffers",
        memory.len()
    );
}

#[test]
fn error_comes_in_its_place_and_ends_the_pipeline() {
    for (threads, depth) in [(1, 1), (4, 2), (4, 8)] {
        let pipeline = start_one_by_one(
            Counting {
                fails_at: Some(7),
                ..Counting::new()
            },
            threads,
            depth,
        );
        for expected in 0..7 {
            assert_eq!(pipeline.next().unwrap().unwrap().labels, [expected]);
        }
        assert!(matches!(
            pipeline.next(),
            Some(Err(DataError::NoSuchSample { index: 7, .. }))
        ));
        assert!(pipeline.next().is_none());
        assert!(pipeline.next().is_none());
    }
}

#[test]
fn panic_of_a_thread_becomes_an_error() {
    let pipeline = start_one_by_one(
        Counting {
            panics_at: Some(5),
            ..Counting::new()
        },
        3,
        4,
    );
    for _ in 0..5 {
        pipeline.next().unwrap().unwrap();
    }
    let error = pipeline.next().unwrap().unwrap_err().to_string();
    assert!(
        error.contains("sample 5 panics") && error.contains("positions: 5..6"),
        "{error}"
    );
    assert!(pipeline.next().is_none());
}

#[test]
fn panic_while_asking_for_requests_becomes_an_error() {
    let requests = evaluation_requests(SAMPLES, 1, &[ShardIndex(0)], 1).inspect(|request| {
        assert!(
            request.positions.start != 3,
            "no request {}",
            request.positions.start
        )
    });
    let dataset = Arc::new(Counting::new());
    let pipeline =
        Pipeline::start(dataset, plain(), SampleOrdering::Sequential, requests, 2, 2).unwrap();
    for _ in 0..3 {
        pipeline.next().unwrap().unwrap();
    }
    let error = pipeline.next().unwrap().unwrap_err().to_string();
    assert!(
        error.contains("asking for the next request: no request 3"),
        "{error}"
    );
    assert!(pipeline.next().is_none());
}

#[test]
fn positions_beyond_the_dataset_are_an_error() {
    for positions in [SAMPLES - 1..SAMPLES + 1, u64::MAX - 1..u64::MAX] {
        let request = BatchRequest {
            split: Split::Test,
            epoch: EpochIndex(0),
            step: StepIndex(0),
            shard: ShardIndex(0),
            positions,
        };
        let dataset = Arc::new(Counting::new());
        let requests = std::iter::once(request);
        let pipeline =
            Pipeline::start(dataset, plain(), SampleOrdering::Sequential, requests, 1, 1).unwrap();
        assert!(matches!(
            pipeline.next(),
            Some(Err(DataError::NoSuchPositions {
                samples: SAMPLES,
                ..
            }))
        ));
    }
}

#[test]
fn stopped_maker_gives_up_between_samples() {
    let maker = BatchMaker::new(
        Arc::new(Counting::new()),
        plain(),
        SampleOrdering::Sequential,
    )
    .unwrap();
    let request = training().next().unwrap();
    let result = maker.make(request, Buffers::default(), &AtomicBool::new(true));
    assert!(matches!(result, Err(DataError::Stopped)));
}

#[test]
fn transform_of_another_shape_is_refused() {
    let shape = ImageShape {
        channels: 1,
        height: 4,
        width: 5,
    };
    let transform = Transform::evaluation(shape, &[0.0], &[1.0]).unwrap();
    let dataset = Arc::new(Counting::new());
    let started = Pipeline::start(
        dataset,
        transform,
        SampleOrdering::Sequential,
        training(),
        1,
        1,
    );
    assert!(matches!(
        started,
        Err(DataError::TransformShapeDiffers { .. })
    ));
}

#[test]
fn pipeline_without_requests_ends_at_once() {
    let pipeline = Pipeline::start(
        Arc::new(Counting::new()),
        plain(),
        SampleOrdering::Sequential,
        std::iter::empty(),
        0,
        0,
    )
    .unwrap();
    assert!(pipeline.next().is_none());
}

/// A pipeline for two epochs of training, each followed by an evaluation of 5 test samples.
fn start_job(start: u64, threads: usize) -> Pipeline {
    let plan = EpochPlan::new(SAMPLES, 20, 3).unwrap();
    let evaluation = Evaluation {
        samples: 5,
        micro_batch: 3,
    };
    let epochs = EpochIndex(0)..EpochIndex(2);
    let shards = [0, 1, 2].map(ShardIndex);
    let requests = job_requests(&plan, epochs, &shards, StepIndex(start), evaluation);
    let shuffled = SampleOrdering::Shuffled { seed: SEED };
    let train = BatchMaker::new(Arc::new(Counting::new()), augmented(), shuffled).unwrap();
    let test = Counting {
        pixels: vec![[255; 16]; 5],
        ..Counting::default()
    };
    let test = BatchMaker::new(Arc::new(test), plain(), SampleOrdering::Sequential).unwrap();
    Pipeline::start_job(train, test, requests, threads, 4).unwrap()
}

#[test]
fn one_pipeline_serves_epochs_and_evaluations_in_turn() {
    let whole = drain(&start_job(0, 3));
    let splits: Vec<Split> = whole.iter().map(|batch| batch.request.split).collect();
    let epoch = [[Split::Train; 18].as_slice(), &[Split::Test; 3]].concat();
    assert_eq!(splits, epoch.repeat(2));
    let (training, evaluation): (Vec<Batch>, Vec<Batch>) = whole
        .into_iter()
        .partition(|batch| batch.request.split == Split::Train);
    assert_eq!(bits(&training), bits(&drain(&start_training(1, 1))));
    let labels: Vec<&[i64]> = evaluation.iter().map(|batch| &*batch.labels).collect();
    assert_eq!(labels, [&[0][..], &[1, 2], &[3, 4], &[0], &[1, 2], &[3, 4]]);
    assert!(
        evaluation
            .iter()
            .all(|batch| batch.images.iter().all(|value| *value == 1.0))
    );
}

#[test]
fn pipeline_of_a_job_can_start_anywhere() {
    let whole = drain(&start_job(0, 1));
    let rest = drain(&start_job(7, 2));
    let skipped = 18 + 3 + 3;
    assert_eq!(bits(&rest), bits(&whole[skipped..]));
}

#[test]
fn batch_says_how_its_values_lie() {
    for layout in [Layout::Nchw, Layout::Nhwc] {
        let dataset = Arc::new(Counting::new());
        let transform = plain().in_layout(layout);
        let ordering = SampleOrdering::Sequential;
        let pipeline = Pipeline::start(dataset, transform, ordering, training(), 1, 1).unwrap();
        assert_eq!(pipeline.next().unwrap().unwrap().layout, layout);
    }
}
