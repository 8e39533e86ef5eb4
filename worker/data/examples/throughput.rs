//! How many images a second the pipeline prepares:
//! `cargo run --release -p convoy-data --example throughput -- [THREADS] [SIDE_PX]`.

use std::error::Error;
use std::time::Instant;

use convoy_common::ids::{EpochIndex, ShardIndex, StepIndex};
use convoy_common::partition::EpochPlan;
use convoy_common::spec::AugmentSpec;
use convoy_data::synthetic::write_idx_dataset;
use convoy_data::{Pipeline, SampleOrdering, Transform, open, training_requests};

const SAMPLES: u32 = 60_000;
const EPOCHS: u32 = 20;
const BATCH: u64 = 128;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u32>());
    let threads = arguments.next().transpose()?.unwrap_or(1);
    let side_px = arguments.next().transpose()?.unwrap_or(28);
    let folder = tempfile::tempdir()?;
    let spec = write_idx_dataset(folder.path(), SAMPLES, 100, side_px, 10, 1)?.data_spec();
    let splits = open(&spec, 10)?;
    let augment = AugmentSpec {
        crop_padding: 2,
        flip: true,
    };
    let transform = Transform::training(splits.train.shape(), &spec.mean, &spec.std, &augment, 1)?;
    let plan = EpochPlan::new(u64::from(SAMPLES), BATCH, 1)?;
    let requests = training_requests(
        &plan,
        EpochIndex(0)..EpochIndex(EPOCHS),
        &[ShardIndex(0)],
        StepIndex(0),
    );
    let start = Instant::now();
    let ordering = SampleOrdering::Shuffled { seed: 1 };
    let pipeline = Pipeline::start(
        splits.train,
        transform,
        ordering,
        requests,
        threads as usize,
        8,
    )?;
    let mut images = 0;
    while let Some(batch) = pipeline.next() {
        let batch = batch?;
        images += batch.len();
        pipeline.recycle(batch);
    }
    let seconds = start.elapsed().as_secs_f64();
    let rate = images as f64 / seconds;
    println!(
        "{images} images of {side_px} x {side_px} in {seconds:.2} s on {threads} threads: {rate:.0} images/s"
    );
    Ok(())
}
