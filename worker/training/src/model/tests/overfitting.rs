//! Gradients of a ResNet, all of them at once: eight images learnt by heart.

use convoy_common::ids::{EpochIndex, Generation, Phase, ShardIndex, StepIndex};
use convoy_common::spec::{ModelName, ModelSpec, Stem};
use convoy_data::{Batch, BatchRequest, ImageShape, Layout, Split};
use tch::Kind;

use super::noise;
use crate::tests::trainer_of;
use crate::{BatchSource, ReduceTag, Snapshot, TrainingError};

const IMAGES: usize = 8;
const CLASSES: u32 = 4;
const STEPS: u64 = 12;
const SHAPE: ImageShape = ImageShape {
    channels: 3,
    height: 16,
    width: 16,
};

/// The same batch again and again.
struct Same(Batch);

impl BatchSource for Same {
    fn next_batch(&mut self) -> Result<Batch, TrainingError> {
        Ok(self.0.clone())
    }

    fn recycle(&mut self, _: Batch) {}
}

fn batch() -> Batch {
    let values = noise(&[(IMAGES * SHAPE.values()) as i64], Kind::Float);
    Batch {
        request: BatchRequest {
            split: Split::Train,
            epoch: EpochIndex(0),
            step: StepIndex(0),
            shard: ShardIndex(0),
            positions: 0..IMAGES as u64,
        },
        images: Vec::<f32>::try_from(values).unwrap().as_slice().into(),
        layout: Layout::Nhwc,
        labels: (0..IMAGES as i64).map(|i| i % i64::from(CLASSES)).collect(),
        sample_hash_sum: 0,
    }
}

/// First and last loss, and what the weights became.
fn learn(name: ModelName) -> (f64, f64, Snapshot) {
    let spec = ModelSpec {
        stem: Stem::Cifar,
        ..ModelSpec::new(name, CLASSES)
    };
    let mut trainer = trainer_of(spec, SHAPE, 0.01);
    let mut source = Same(batch());
    let mut losses = Vec::new();
    for step in 0..STEPS {
        let tag = ReduceTag {
            generation: Generation(1),
            step: StepIndex(step),
            phase: Phase::Train,
        };
        let report = trainer.step(tag, 1, IMAGES as u64, &mut source).unwrap();
        assert!(!report.skipped);
        losses.push(report.loss);
    }
    (
        losses[0],
        losses[losses.len() - 1],
        trainer.snapshot().unwrap(),
    )
}

#[test]
fn a_resnet_learns_eight_images_by_heart_and_always_the_same_way() {
    let (first, last, state) = learn(ModelName::Resnet18);
    assert!(last < 0.5 * first, "from {first} to {last}");
    assert_eq!(learn(ModelName::Resnet18).2, state);
}
