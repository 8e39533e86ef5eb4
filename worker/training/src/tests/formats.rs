//! Number and memory formats, and what lies in which bucket.

use super::*;

const STEPS: u64 = 12;

/// Trains alone in these formats, with an evaluation in the middle; the state before and after, and the losses.
fn trained(memory_format: MemoryFormat, precision: Precision) -> (Snapshot, Snapshot, Vec<f64>) {
    let folder = tempfile::tempdir().unwrap();
    let (spec, splits) = data(folder.path());
    let mut trainer = Trainer::new(TrainerSpec {
        memory_format,
        precision,
        ..trainer_spec(small_cnn(), splits.train.shape(), sgd(LEARNING_RATE), SEED)
    })
    .unwrap();
    let owned = owned_shards(DATA_SHARDS, 1, Rank(0));
    let layout = crate::layout(memory_format);
    let mut source = batches_in(layout, &spec, &splits, &owned, 3);
    let before = trainer.snapshot().unwrap();
    let mut losses = Vec::new();
    for step in 0..STEPS {
        let report = trainer.step(tag(step), owned.len(), GLOBAL_BATCH, &mut source);
        losses.push(report.unwrap().loss);
        if step == STEPS / 2 {
            evaluate(&mut trainer, &spec, &splits, layout);
        }
    }
    (before, trainer.snapshot().unwrap(), losses)
}

fn evaluate(trainer: &mut Trainer, spec: &DataSpec, splits: &Splits, layout: Layout) {
    let transform = Transform::evaluation(splits.test.shape(), &spec.mean, &spec.std)
        .unwrap()
        .in_layout(layout);
    let owned = owned_shards(DATA_SHARDS, 1, Rank(0));
    let requests: Vec<_> =
        evaluation_requests(u64::from(TEST_SAMPLES), DATA_SHARDS, &owned, 20).collect();
    let count = requests.len();
    let test = Arc::clone(&splits.test);
    let ordering = SampleOrdering::Sequential;
    let mut source =
        Pipeline::start(test, transform, ordering, requests.into_iter(), 1, 4).unwrap();
    let tag = ReduceTag {
        phase: Phase::Evaluate,
        ..tag(STEPS / 2)
    };
    let counts = trainer.evaluate(tag, count, &mut source).unwrap();
    assert_eq!(counts.samples, u64::from(TEST_SAMPLES));
}

#[test]
fn memory_formats_start_from_the_same_bytes_and_learn_the_same() {
    let (last_before, last_after, _) = trained(MemoryFormat::ChannelsLast, Precision::F32);
    let (before, after, _) = trained(MemoryFormat::Contiguous, Precision::F32);
    assert_eq!(last_before, before, "checkpoints are row-major in both");
    let difference = largest_difference(&last_after, &after);
    assert!(difference < 1e-3, "the formats differ by {difference}");
}

#[test]
fn bfloat16_learns_what_f32_does_within_its_rounding() {
    for format in [MemoryFormat::ChannelsLast, MemoryFormat::Contiguous] {
        let (_, _, full) = trained(format, Precision::F32);
        let (_, _, half) = trained(format, Precision::Bf16);
        assert_ne!(full, half, "{format:?}: nothing was computed in bfloat16");
        for (step, (full, half)) in full.iter().zip(&half).enumerate() {
            let difference = (full - half).abs() / full;
            assert!(
                difference < 0.1,
                "{format:?}, step {step}: {full} and {half}"
            );
        }
        assert!(half[half.len() - 1] < 0.8 * half[0], "{format:?}: {half:?}");
    }
}

#[test]
fn most_of_the_gradient_leaves_before_the_first_layers_have_theirs() {
    let shape = ImageShape {
        channels: 3,
        height: 32,
        width: 32,
    };
    for model in [small_cnn(), resnet18()] {
        let trainer = build(model.clone(), shape, sgd(LEARNING_RATE), SEED);
        let buckets = &trainer.reductions()[..trainer.gate.buckets()];
        let all: usize = buckets.iter().map(|bucket| bucket.region.len()).sum();
        let last = buckets[buckets.len() - 1].region.len();
        assert!(last * 5 < all, "{:?}: {last} of {all} elements", model.name);
    }
}
