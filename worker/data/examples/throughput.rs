//! How many images a second the pipeline prepares, cropped and mirrored, from files in the page cache:
//! `cargo run --release -p convoy-data --example throughput -- [THREADS] [ROUNDS]`.

use std::error::Error;
use std::time::Instant;

use convoy_common::ids::{EpochIndex, ShardIndex, StepIndex};
use convoy_common::partition::EpochPlan;
use convoy_common::spec::{AugmentSpec, DataSpec};
use convoy_data::synthetic::{write_cifar10_dataset, write_idx_dataset};
use convoy_data::{Layout, Pipeline, SampleOrdering, Transform, open, training_requests};

const SAMPLES: u32 = 50_000;
const EPOCHS: u32 = 10;
const BATCH: u64 = 128;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let threads = arguments.next().transpose()?.unwrap_or(1);
    let rounds = arguments.next().transpose()?.unwrap_or(3);
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let grey = write_idx_dataset(&path("grey"), SAMPLES, 100, 28, 10, 1)?.data_spec();
    let colour = write_cifar10_dataset(&path("colour"), SAMPLES, 100, 10, 1)?;
    for _ in 0..rounds {
        for spec in [&grey, &colour] {
            for layout in [Layout::Nchw, Layout::Nhwc] {
                measure(spec, threads, layout)?;
            }
        }
    }
    Ok(())
}

fn measure(spec: &DataSpec, threads: usize, layout: Layout) -> Result<(), Box<dyn Error>> {
    let splits = open(spec, 10)?;
    let shape = splits.train.shape();
    let augment = AugmentSpec {
        crop_padding: 4,
        flip: true,
    };
    let transform =
        Transform::training(shape, &spec.mean, &spec.std, &augment, 1)?.in_layout(layout);
    let plan = EpochPlan::new(u64::from(SAMPLES), BATCH, 1)?;
    let epochs = EpochIndex(0)..EpochIndex(EPOCHS);
    let requests = training_requests(&plan, epochs, &[ShardIndex(0)], StepIndex(0));
    let ordering = SampleOrdering::Shuffled { seed: 1 };
    let start = Instant::now();
    let pipeline = Pipeline::start(splits.train, transform, ordering, requests, threads, 8)?;
    let mut images = 0;
    while let Some(batch) = pipeline.next() {
        let batch = batch?;
        images += batch.len();
        pipeline.recycle(batch);
    }
    let rate = images as f64 / start.elapsed().as_secs_f64();
    println!("{shape} as {layout:?}, {threads} threads: {rate:.0} images/s");
    Ok(())
}
