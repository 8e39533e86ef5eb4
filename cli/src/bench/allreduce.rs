//! `convoy bench allreduce`: Convoy's ring and PyTorch's Gloo, turn by turn.

use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use convoy_output::{answer, notice};
use convoy_process::{Spawner, sibling_binary};
use serde::Serialize;
use serde_json::json;

use super::arguments::{AllreduceArguments, size_text};
use super::group::{Answer, Group};
use super::python::Python;
use super::report;
use super::statistics::{Spread, rotation, slowest};

mod table;

const SCRIPT: &str = include_str!("allreduce.py");
/// Bytes that one turn moves, about; small messages are bound by iterations instead.
const BYTES_PER_TURN: u64 = 256 << 20;
const MAX_ITERATIONS: u64 = 300;
/// Large messages vary little; small ones need many for their pages, sockets and caches to be warm.
const MIN_ITERATIONS: u64 = 3;
/// A second of work at most; the rest is for a machine that swaps.
const TURN_LIMIT: Duration = Duration::from_secs(300);

/// What was measured of one size with one number of processes.
#[derive(Debug, Serialize)]
struct Row {
    processes: u32,
    bytes: u64,
    count: u64,
    #[serde(rename = "type")]
    dtype: &'static str,
    redop: &'static str,
    iterations: u64,
    contenders: Vec<Measured>,
    /// Gloo's time over Convoy's, round by round.
    ratio: Option<Spread>,
}

/// What one contender did there.
#[derive(Debug, Serialize)]
struct Measured {
    name: &'static str,
    /// Mean of one all-reduce at the slowest member, of each round.
    seconds: Vec<f64>,
    time_us: f64,
    /// Bytes over time.
    algbw_gb_s: f64,
    /// What each link carries: algbw * 2 (n - 1) / n, as nccl-tests has it.
    busbw_gb_s: f64,
    wrong: u64,
}

/// Measures everything that was asked for, prints it and writes it.
pub(super) async fn run(arguments: &AllreduceArguments, spawner: &Spawner) -> anyhow::Result<()> {
    let report = report::Report::begin(&arguments.common, spawner).await?;
    let (mut rows, mut facts) = (Vec::new(), Vec::new());
    for processes in &arguments.processes {
        let from = rows.len();
        let mut contenders = start(spawner, *processes, report.python()).await?;
        notice(format_args!("{processes} processes: ready"));
        for bytes in &arguments.sizes.0 {
            let rounds = arguments.common.rounds.get();
            rows.push(measure(&mut contenders, *processes, *bytes, rounds).await?);
            notice(format_args!(
                "{processes} processes, {}: done",
                size_text(*bytes)
            ));
        }
        for (_, group) in contenders {
            facts.push(group.facts());
            group.end().await?;
        }
        answer(format_args!(
            "\nall-reduce in place between {processes} processes on loopback\n{}",
            table::table(&rows[from..])
        ));
    }
    let wrong: u64 = rows
        .iter()
        .flat_map(|row| &row.contenders)
        .map(|measured| measured.wrong)
        .sum();
    report.write(json!({ "benchmark": "allreduce", "contenders": facts, "rows": rows }))?;
    ensure!(wrong == 0, "{wrong} numbers differ from the reference sum");
    Ok(())
}

type Contenders = Vec<(&'static str, Group)>;

async fn start(
    spawner: &Spawner,
    processes: u32,
    python: Option<&Python>,
) -> anyhow::Result<Contenders> {
    let worker = sibling_binary("convoy-worker")?;
    let own = || {
        let mut command = Command::new(&worker);
        command.arg("bench-allreduce");
        command
    };
    let mut contenders = vec![(
        "convoy",
        Group::start(spawner, "convoy", processes, own).await?,
    )];
    if let Some(python) = python {
        let gloo = Group::start(spawner, "gloo", processes, || python.command(SCRIPT)).await?;
        contenders.push(("gloo", gloo));
    }
    Ok(contenders)
}

async fn measure(
    contenders: &mut Contenders,
    processes: u32,
    bytes: u64,
    rounds: u32,
) -> anyhow::Result<Row> {
    let iterations = (BYTES_PER_TURN / bytes).clamp(MIN_ITERATIONS, MAX_ITERATIONS);
    let count = bytes / size_of::<f32>() as u64;
    let turn =
        json!({ "elements": count, "iterations": iterations, "warm_up": iterations.div_ceil(10) });
    let mut seconds = vec![Vec::new(); contenders.len()];
    let mut wrong = vec![0; contenders.len()];
    for round in 0..rounds as usize {
        for place in rotation(contenders.len(), round) {
            let answers = contenders[place].1.turn(&turn, TURN_LIMIT).await?;
            wrong[place] += answers.iter().map(|answer| answer.wrong).sum::<u64>();
            let times: Vec<_> = answers
                .into_iter()
                .map(|Answer { seconds, .. }| seconds)
                .collect();
            seconds[place].push(slowest(&times).iter().sum::<f64>() / iterations as f64);
        }
    }
    let ratio = match seconds.as_slice() {
        [own, gloo] => Spread::of_ratios(gloo, own),
        _ => None,
    };
    let names = contenders.iter().map(|(name, _)| *name);
    let measured = names
        .zip(seconds)
        .zip(wrong)
        .map(|((name, seconds), wrong)| Measured::new(name, seconds, wrong, processes, bytes));
    Ok(Row {
        processes,
        bytes,
        count,
        dtype: "float",
        redop: "sum",
        iterations,
        contenders: measured.collect(),
        ratio,
    })
}

impl Measured {
    fn new(name: &'static str, seconds: Vec<f64>, wrong: u64, processes: u32, bytes: u64) -> Self {
        let time = Spread::of(&seconds).map_or(f64::NAN, |spread| spread.median);
        let algbw_gb_s = bytes as f64 / time / 1e9;
        let others = f64::from(processes - 1);
        Self {
            name,
            seconds,
            time_us: time * 1e6,
            algbw_gb_s,
            busbw_gb_s: algbw_gb_s * 2.0 * others / f64::from(processes),
            wrong,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bandwidths_are_those_of_nccl_tests() {
        let measured = Measured::new("convoy", vec![0.002, 0.001, 0.004], 0, 4, 2_000_000);
        assert!((measured.time_us - 2_000.0).abs() < 1e-9);
        assert!((measured.algbw_gb_s - 1.0).abs() < 1e-9);
        assert!((measured.busbw_gb_s - 1.5).abs() < 1e-9);
    }
}
