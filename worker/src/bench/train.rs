//! Training steps as jobs make them: the same trainer, reducer, ring and pipeline; only membership and checkpoints are left out.

mod batches;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use convoy_common::ids::{Generation, Phase, StepIndex};
use convoy_common::schedule::{Curve, Schedule};
use convoy_common::spec::{
    DataSpec, MemoryFormat, ModelSpec, OptimizerSpec, Precision, Reproducibility,
};
use convoy_data::{ImageShape, Splits};
use convoy_training::{ReduceTag, StepTimes, Trainer, TrainerSpec};
use serde::Deserialize;
use serde_json::{Value, json};

use super::arguments::MemberArguments;
use super::{line, ring};
use crate::replica::GroupReducer;
use batches::{Batches, Source};

#[derive(Clone, Debug, Args)]
pub(crate) struct TrainArguments {
    #[command(flatten)]
    pub(super) member: MemberArguments,
    /// What to train, as JSON.
    #[arg(long)]
    config: String,
}

/// What to train; the Python contender reads the same, but for how gradients are summed.
#[derive(Debug, Deserialize)]
struct Config {
    model: ModelSpec,
    /// Channels, height, width.
    shape: [usize; 3],
    /// Samples of a step, over all members.
    batch: u64,
    optimizer: OptimizerSpec,
    reproducibility: Reproducibility,
    /// Most micro-batches of a step, over all members.
    data_shards: u32,
    /// `[data]` of a job spec, for turns that read a dataset.
    data: Option<DataSpec>,
}

/// One turn.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Turn {
    /// Micro-batches of this member in a step.
    micro_batches: u32,
    /// Timed steps.
    steps: u32,
    /// Steps before them.
    warm_up: u32,
    /// Whether batches come from the dataset; else they are the same few all the time.
    #[serde(default)]
    dataset: bool,
}

/// Serves turns until the input ends.
pub(super) fn serve(arguments: &TrainArguments) -> anyhow::Result<()> {
    convoy_torch::check_library()?;
    tch::set_num_threads(1);
    let config: Config =
        serde_json::from_str(&arguments.config).context("--config is not understood")?;
    let splits = config.open()?;
    let Some(ring) = ring::join(&arguments.member)? else {
        return Ok(());
    };
    let trainer = Trainer::new(config.trainer())?;
    trainer.connect(Arc::new(GroupReducer::new(
        Box::new(ring),
        trainer.reductions(),
    )));
    line::tell(&json!({ "ready": {
        "version": crate::check::BUILD,
        "libtorch": convoy_torch::library_version(),
        "memory_format": format!("{FORMAT:?}"),
    } }))?;
    let mut bench = Bench {
        member: &arguments.member,
        batches: Batches::new(&arguments.member, config, splits),
        trainer,
        step: 0,
    };
    while let Some(turn) = line::next::<Turn>()? {
        bench.turn(turn)?;
    }
    Ok(())
}

/// What a job has by default.
const FORMAT: MemoryFormat = MemoryFormat::ChannelsLast;

impl Config {
    fn shape(&self) -> ImageShape {
        let [channels, height, width] = self.shape;
        ImageShape {
            channels,
            height,
            width,
        }
    }

    fn trainer(&self) -> TrainerSpec {
        TrainerSpec {
            model: self.model.clone(),
            shape: self.shape(),
            seed: 1,
            precision: Precision::F32,
            reproducibility: self.reproducibility,
            data_shards: self.data_shards,
            memory_format: FORMAT,
            label_smoothing: 0.0,
            class_weights: Vec::new(),
            optimizer: self.optimizer.clone(),
            schedule: Schedule {
                peak: self.optimizer.learning_rate,
                warmup_steps: 0,
                curve: Curve::Constant,
            },
        }
    }

    fn open(&self) -> anyhow::Result<Option<(DataSpec, Splits)>> {
        let Some(spec) = self.data.clone() else {
            return Ok(None);
        };
        let splits = convoy_data::open(&spec, self.model.classes)?;
        ensure!(
            splits.train.shape() == self.shape(),
            "the dataset's images are {}, not {}",
            splits.train.shape(),
            self.shape()
        );
        Ok(Some((spec, splits)))
    }
}

struct Bench<'a> {
    member: &'a MemberArguments,
    batches: Batches,
    trainer: Trainer,
    step: u64,
}

impl Bench<'_> {
    fn turn(&mut self, turn: Turn) -> anyhow::Result<()> {
        let samples = self.batches.global_batch();
        let world = self.member.world;
        let source = if turn.dataset {
            Source::Dataset
        } else {
            Source::Fixed
        };
        let batches = self.batches.get(source, turn.micro_batches * world)?;
        let mut seconds = Vec::with_capacity(turn.steps as usize);
        let mut loss = f64::NAN;
        let mut times = StepTimes::default();
        let mut start = Instant::now();
        for step in 0..turn.warm_up + turn.steps {
            let tag = ReduceTag {
                generation: Generation(1),
                step: StepIndex(self.step),
                phase: Phase::Train,
            };
            self.step += 1;
            let report = self
                .trainer
                .step(tag, turn.micro_batches as usize, samples, batches)?;
            ensure!(
                !report.skipped,
                "a step was skipped: the loss is {}",
                report.loss
            );
            loss = report.loss;
            let end = Instant::now();
            if step >= turn.warm_up {
                seconds.push((end - start).as_secs_f64());
                times += self.trainer.times();
            }
            start = end;
        }
        let parts = parts(times, turn.steps);
        line::tell(&json!({ "seconds": seconds, "loss": loss, "parts": parts }))
    }
}

/// Mean seconds of a step by part.
fn parts(times: StepTimes, steps: u32) -> Value {
    let mean = |part: Duration| part.as_secs_f64() / f64::from(steps.max(1));
    json!({
        "data": mean(times.data),
        "forward": mean(times.forward),
        "backward": mean(times.backward),
        "reduction": mean(times.reduction),
        "update": mean(times.update),
    })
}
