//! Where a benchmark's batches come from.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use anyhow::Context;
use convoy_common::ids::{EpochIndex, ShardIndex, StepIndex};
use convoy_common::partition::{EpochPlan, part};
use convoy_common::spec::DataSpec;
use convoy_data::{
    AlignedFloats, Batch, BatchRequest, Pipeline, SampleOrdering, Split, Splits, Transform,
    training_requests,
};
use convoy_training::{BatchSource, TrainingError};

use super::{Config, FORMAT};
use crate::bench::arguments::MemberArguments;
use crate::replica::{BATCHES_AHEAD_PER_SHARD, DATA_THREADS};

/// More than a benchmark can run.
const EPOCHS: u32 = 1_000_000;
const SEED: u64 = 1;

/// Where batches come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// The same few in memory, all the time.
    Fixed,
    /// The job's own pipeline.
    Dataset,
}

/// The sources of one member, made when they are first asked for.
pub(super) struct Batches {
    rank: u32,
    world: u32,
    config: Config,
    dataset: Option<(DataSpec, Splits)>,
    made: BTreeMap<(Source, u32), Box<dyn BatchSource>>,
}

impl Batches {
    pub(super) fn new(
        member: &MemberArguments,
        config: Config,
        dataset: Option<(DataSpec, Splits)>,
    ) -> Self {
        let MemberArguments { rank, world, .. } = *member;
        Self {
            rank,
            world,
            config,
            dataset,
            made: BTreeMap::new(),
        }
    }

    pub(super) fn global_batch(&self) -> u64 {
        self.config.batch
    }

    /// Batches of this member's part of `shards` shards.
    pub(super) fn get(
        &mut self,
        source: Source,
        shards: u32,
    ) -> anyhow::Result<&mut dyn BatchSource> {
        if !self.made.contains_key(&(source, shards)) {
            let made: Box<dyn BatchSource> = match source {
                Source::Fixed => Box::new(self.fixed(shards)),
                Source::Dataset => Box::new(self.pipeline(shards)?),
            };
            self.made.insert((source, shards), made);
        }
        let made = self.made.get_mut(&(source, shards));
        Ok(made
            .context("a source that was just made is there")?
            .as_mut())
    }

    fn own(&self, shards: u32) -> Vec<ShardIndex> {
        let own = part(shards.into(), self.world.into(), self.rank.into());
        // Below `shards`, which is a u32.
        own.map(|shard| ShardIndex(shard as u32)).collect()
    }

    fn fixed(&self, shards: u32) -> Fixed {
        let values = self.config.shape().values() as u64;
        let batch = |shard: ShardIndex| {
            let samples = part(self.config.batch, shards.into(), shard.0.into());
            let images: Vec<f32> = (samples.start * values..samples.end * values)
                .map(pixel)
                .collect();
            let classes = u64::from(self.config.model.classes);
            Batch {
                request: BatchRequest {
                    split: Split::Train,
                    epoch: EpochIndex(0),
                    step: StepIndex(0),
                    shard,
                    positions: samples.clone(),
                },
                images: AlignedFloats::from(images.as_slice()),
                layout: convoy_training::layout(FORMAT),
                labels: samples.map(|sample| (sample % classes) as i64).collect(),
                sample_hash_sum: 0,
            }
        };
        Fixed(self.own(shards).into_iter().map(batch).collect())
    }

    /// As a job's worker starts it, without evaluations.
    fn pipeline(&self, shards: u32) -> anyhow::Result<Pipeline> {
        let (spec, splits) = self.dataset.as_ref().context("no dataset was given")?;
        let own = self.own(shards);
        let train = Arc::clone(&splits.train);
        let plan = EpochPlan::new(train.len() as u64, self.config.batch, shards)?;
        let (mean, std, augment) = (&spec.mean, &spec.std, &spec.augment);
        let transform = Transform::training(train.shape(), mean, std, augment, SEED)?
            .in_layout(convoy_training::layout(FORMAT));
        let epochs = EpochIndex(0)..EpochIndex(EPOCHS);
        let requests = training_requests(&plan, epochs, &own, StepIndex(0));
        let ordering = SampleOrdering::Shuffled { seed: SEED };
        let depth = BATCHES_AHEAD_PER_SHARD * own.len();
        Ok(Pipeline::start(
            train,
            transform,
            ordering,
            requests,
            DATA_THREADS,
            depth,
        )?)
    }
}

/// Number `index` of the images' values, -1 to 1: noise that Python makes in the same way.
fn pixel(index: u64) -> f32 {
    let mixed = index.wrapping_mul(2_654_435_761) & 0xffff_ffff;
    (mixed as f64 / f64::from(1u32 << 31) - 1.0) as f32
}

/// Batches that are handed out in turn and come back.
struct Fixed(VecDeque<Batch>);

impl BatchSource for Fixed {
    fn next_batch(&mut self) -> Result<Batch, TrainingError> {
        self.0.pop_front().ok_or(TrainingError::NoMoreBatches)
    }

    fn recycle(&mut self, batch: Batch) {
        self.0.push_back(batch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_are_noise_around_zero() {
        let pixels: Vec<f32> = (0..10_000).map(pixel).collect();
        let mean = pixels.iter().sum::<f32>() / 10_000.0;
        assert!(mean.abs() < 0.02, "{mean}");
        assert_eq!(pixels[0], -1.0);
        assert!(pixels.iter().all(|pixel| pixel.abs() <= 1.0));
    }
}
