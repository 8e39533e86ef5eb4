//! `convoy bench train`: training steps, or everything from file to update, beside PyTorch's.

mod contender;
mod table;
mod workload;

use std::path::absolute;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use convoy_common::spec::Reproducibility;
use convoy_output::{answer, notice};
use convoy_process::{Spawner, sibling_binary};
use serde::Serialize;
use serde_json::{Value, json};

use self::contender::{Contender, Side, end_to_end_contenders, step_contenders};
use self::workload::Workload;
use super::arguments::{ModelArgument, TrainArguments};
use super::group::{Answer, Group, Parts};
use super::python::Python;
use super::report::Report;
use super::statistics::{Spread, rotation, slowest};

const SCRIPT: &str = include_str!("train.py");
/// Untimed steps of each turn: caches and pages are the other contenders' when it begins.
const WARM_UP_STEPS: u32 = 1;
/// The same where batches are prepared ahead: until the first ones are used up, which cost nobody's time.
const END_TO_END_WARM_UP_STEPS: u32 = 10;
const END_TO_END_STEPS: u32 = 60;
/// A few ResNet steps on a slow core, many times over.
const TURN_LIMIT: Duration = Duration::from_secs(900);

/// What was measured of one workload with one number of workers.
#[derive(Debug, Serialize)]
pub(super) struct Case {
    workload: Workload,
    workers: u32,
    steps: u32,
    end_to_end: bool,
    groups: Vec<Value>,
    outcomes: Vec<Outcome>,
}

/// What one contender did there.
#[derive(Clone, Debug, Serialize)]
struct Outcome {
    contender: Contender,
    /// Every timed step of every round, at the slowest member.
    step_seconds: Vec<Vec<f64>>,
    /// Each round's figure: the median of its steps, or end to end their mean, because a wait for data counts whenever it comes.
    round_seconds: Vec<f64>,
    /// After the last step; random data of the same kind for all.
    loss: f64,
    /// Where the time of a step went, of each member in each round.
    parts: Vec<Parts>,
}

/// Measures everything that was asked for, prints it and writes it.
pub(super) async fn run(arguments: &TrainArguments, spawner: &Spawner) -> anyhow::Result<()> {
    let workloads = workloads(arguments)?;
    let report = Report::begin(&arguments.common, spawner).await?;
    let mut cases = Vec::new();
    for workload in workloads {
        for workers in &arguments.workers {
            let case = measure(arguments, spawner, report.python(), &workload, *workers).await?;
            answer(format_args!("\n{}", table::table(&case)));
            cases.push(case);
        }
    }
    report.write(json!({ "benchmark": "train", "cases": cases }))
}

fn workloads(arguments: &TrainArguments) -> anyhow::Result<Vec<Workload>> {
    let default: &[ModelArgument] = if arguments.end_to_end {
        &[ModelArgument::SmallCnn]
    } else {
        &[ModelArgument::SmallCnn, ModelArgument::Resnet18]
    };
    let models = if arguments.model.is_empty() {
        default
    } else {
        arguments.model.as_slice()
    };
    let data = if arguments.end_to_end {
        Some(absolute(&arguments.data).context("--data is no path")?)
    } else {
        None
    };
    let workloads: Vec<_> = models
        .iter()
        .map(|model| Workload::new(*model, arguments.batch, data.as_deref()))
        .collect();
    for workload in &workloads {
        for shards in &arguments.shards {
            let batch = workload.batch();
            ensure!(
                batch.is_multiple_of(*shards),
                "a batch of {batch} can't be cut into {shards} equal micro-batches"
            );
        }
    }
    for workers in &arguments.workers {
        let uneven = arguments
            .shards
            .iter()
            .find(|shards| !shards.is_multiple_of(*workers));
        ensure!(
            uneven.is_none(),
            "--shards {}: not a multiple of {workers} workers, which would compute different numbers of micro-batches",
            uneven.copied().unwrap_or_default()
        );
    }
    Ok(workloads)
}

async fn measure(
    arguments: &TrainArguments,
    spawner: &Spawner,
    python: Option<&Python>,
    workload: &Workload,
    workers: u32,
) -> anyhow::Result<Case> {
    let modes = arguments.modes();
    let contenders = if arguments.end_to_end {
        end_to_end_contenders(&modes, &arguments.shards, workers, python.is_some())
    } else {
        step_contenders(&modes, &arguments.shards, workers, python.is_some())
    };
    let default_steps = if arguments.end_to_end {
        END_TO_END_STEPS
    } else {
        workload.steps_per_turn()
    };
    let steps = arguments.steps.unwrap_or(default_steps);
    let mut groups = Groups::start(spawner, python, workload, arguments, workers).await?;
    notice(format_args!(
        "{} with {workers} workers: ready",
        workload.name()
    ));
    let mut outcomes: Vec<_> = contenders.into_iter().map(Outcome::new).collect();
    for round in 0..arguments.common.rounds.get() {
        for place in rotation(outcomes.len(), round as usize) {
            let outcome = &mut outcomes[place];
            let turn = outcome.contender.turn(steps, warm_up(arguments));
            let answers = groups.turn(outcome.contender.side(), &turn).await?;
            outcome.add(answers, arguments.end_to_end);
        }
        notice(format_args!("round {} done", round + 1));
    }
    let facts = groups.facts();
    groups.end().await?;
    Ok(Case {
        workload: workload.clone(),
        workers,
        steps,
        end_to_end: arguments.end_to_end,
        groups: facts,
        outcomes,
    })
}

fn warm_up(arguments: &TrainArguments) -> u32 {
    if arguments.end_to_end {
        END_TO_END_WARM_UP_STEPS
    } else {
        WARM_UP_STEPS
    }
}

/// The processes of both sides.
struct Groups {
    own: Vec<(Reproducibility, Group)>,
    torch: Option<Group>,
}

impl Groups {
    async fn start(
        spawner: &Spawner,
        python: Option<&Python>,
        workload: &Workload,
        arguments: &TrainArguments,
        workers: u32,
    ) -> anyhow::Result<Self> {
        let worker = sibling_binary("convoy-worker")?;
        let data_shards = arguments.shards.iter().copied().max().unwrap_or(1);
        let mut own = Vec::new();
        for mode in arguments.modes() {
            let config = workload.own_config(mode, data_shards).to_string();
            let command = || {
                let mut command = Command::new(&worker);
                command.args(["bench-train", "--config", &config]);
                command
            };
            let group = Group::start(spawner, "convoy", workers, command).await?;
            own.push((mode, group));
        }
        let config = workload.config().to_string();
        let torch = match python {
            None => None,
            Some(python) => {
                let command = || {
                    let mut command = python.command(SCRIPT);
                    command.args(["--config", &config]);
                    command
                };
                Some(Group::start(spawner, "pytorch", workers, command).await?)
            }
        };
        Ok(Self { own, torch })
    }

    async fn turn(&mut self, side: Side, turn: &Value) -> anyhow::Result<Vec<Answer>> {
        let group = match side {
            Side::Convoy(mode) => self
                .own
                .iter_mut()
                .find(|(own, _)| *own == mode)
                .map(|(_, group)| group),
            Side::Pytorch => self.torch.as_mut(),
        };
        let group = group.context("a contender whose group was not started")?;
        group.turn(turn, TURN_LIMIT).await
    }

    fn facts(&self) -> Vec<Value> {
        let own = self.own.iter().map(|(_, group)| group);
        own.chain(&self.torch).map(Group::facts).collect()
    }

    async fn end(self) -> anyhow::Result<()> {
        for (_, group) in self.own {
            group.end().await?;
        }
        match self.torch {
            Some(torch) => torch.end().await,
            None => Ok(()),
        }
    }
}

impl Outcome {
    fn new(contender: Contender) -> Self {
        Self {
            contender,
            step_seconds: Vec::new(),
            round_seconds: Vec::new(),
            loss: f64::NAN,
            parts: Vec::new(),
        }
    }

    fn add(&mut self, answers: Vec<Answer>, end_to_end: bool) {
        let losses: Vec<f64> = answers.iter().filter_map(|answer| answer.loss).collect();
        self.loss = losses.iter().sum::<f64>() / losses.len() as f64;
        self.parts
            .extend(answers.iter().filter_map(|answer| answer.parts));
        let times: Vec<_> = answers.into_iter().map(|answer| answer.seconds).collect();
        let steps = slowest(&times);
        let figure = if end_to_end {
            Some(steps.iter().sum::<f64>() / steps.len() as f64)
        } else {
            Spread::of(&steps).map(|spread| spread.median)
        };
        self.round_seconds.extend(figure);
        self.step_seconds.push(steps);
    }

    fn median(&self) -> f64 {
        Spread::of(&self.round_seconds).map_or(f64::NAN, |spread| spread.median)
    }
}

/// The one with the smallest median of those that `admitted` admits.
fn fastest(outcomes: &[Outcome], admitted: impl Fn(&Contender) -> bool) -> Option<&Outcome> {
    outcomes
        .iter()
        .filter(|outcome| admitted(&outcome.contender))
        .min_by(|a, b| a.median().total_cmp(&b.median()))
}

#[cfg(test)]
mod tests;
