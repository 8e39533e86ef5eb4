//! What `convoy bench` can be told.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use convoy_common::limits::MAX_DATA_SHARDS;
use convoy_common::spec::Reproducibility;

/// A message larger than the memory of most machines' caches and models of a hundred million parameters together.
const MAX_MESSAGE_BYTES: u64 = 1 << 30;
/// Processes of one contender; more than cores says nothing.
pub(super) const MAX_PROCESSES: u32 = 64;
/// As job specs have it.
const MAX_BATCH: i64 = 1_048_576;
/// Their times fit into a line of the protocol.
const MAX_STEPS: i64 = 5_000;
/// Each has a connection's stream of its own; beyond, the generator is all that is measured.
const MAX_WRITERS: i64 = 8_192;
/// Each holds a connection, and all ports of one address are 65,535.
const MAX_AGENTS: i64 = 20_000;
/// Between the sizes of a range: as many as say something.
const RANGE_FACTOR: u64 = 4;

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// The all-reduce of Convoy's ring beside PyTorch's Gloo.
    Allreduce(AllreduceArguments),
    /// Three coordinators' writes, reads, elections and sessions beside etcd's.
    Coordinator(CoordinatorArguments),
    /// Training steps beside PyTorch's, one thread for each worker.
    Train(TrainArguments),
    /// Becomes another program that ends with this one.
    #[command(hide = true)]
    Member(MemberArguments),
}

/// What all benchmarks share.
#[derive(Debug, Args)]
pub(crate) struct CommonArguments {
    /// Rounds; in each, every contender has its turn, in rotated order.
    #[arg(long, default_value = "5")]
    pub(super) rounds: NonZeroU32,
    #[command(flatten)]
    pub(super) file: FileArguments,
    #[command(flatten)]
    pub(super) python: PythonArguments,
}

#[derive(Debug, Args)]
pub(super) struct FileArguments {
    /// Write every time that was measured as JSON to this file.
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct PythonArguments {
    /// A Python with PyTorch 2.11.0; by default .tools/bench-venv, installed on first use (several GB).
    #[arg(long, value_name = "PATH", conflicts_with = "without_python")]
    pub(super) python: Option<PathBuf>,
    /// Measure only Convoy.
    #[arg(long)]
    pub(super) without_python: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AllreduceArguments {
    /// Message sizes: 1KiB,64KiB or a range 1KiB..256MiB, which quadruples.
    #[arg(long, default_value = "1KiB..256MiB", value_parser = sizes)]
    pub(super) sizes: Sizes,
    /// Processes that reduce together.
    #[arg(long, default_value = "2,3,4", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(2..=i64::from(MAX_PROCESSES)))]
    pub(super) processes: Vec<u32>,
    #[command(flatten)]
    pub(super) common: CommonArguments,
}

#[derive(Debug, Args)]
pub(crate) struct TrainArguments {
    /// Networks, one after the other; by default all, and small_cnn end to end.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(super) model: Vec<ModelArgument>,
    /// Samples of a step over all workers; by default 256 for small_cnn, 128 for resnet18.
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..=MAX_BATCH))]
    pub(super) batch: Option<u32>,
    /// Data shards of a job: micro-batches of a step over all workers.
    #[arg(long, default_value = "2,8", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_DATA_SHARDS)))]
    pub(super) shards: Vec<u32>,
    /// Worker processes.
    #[arg(long, default_value = "1,2", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_PROCESSES)))]
    pub(super) workers: Vec<u32>,
    /// How ours sum gradients (`training.reproducibility` of a job spec).
    #[arg(
        long,
        value_enum,
        default_value = "fast,bitwise",
        value_delimiter = ','
    )]
    pub(super) reproducibility: Vec<ReproducibilityArgument>,
    /// Timed steps of each turn; by default a second or a few of work.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=MAX_STEPS))]
    pub(super) steps: Option<u32>,
    /// Measure everything from the files of Fashion-MNIST to the update, with augmentation, beside PyTorch's DataLoader.
    #[arg(long)]
    pub(super) end_to_end: bool,
    /// Folder of Fashion-MNIST's files.
    #[arg(long, value_name = "DIR", default_value = ".data/fashion-mnist")]
    pub(super) data: PathBuf,
    #[command(flatten)]
    pub(super) common: CommonArguments,
}

#[derive(Debug, Args)]
pub(crate) struct CoordinatorArguments {
    /// Rounds; in each, every contender has its turn, in rotated order.
    #[arg(long, default_value = "20")]
    pub(super) rounds: NonZeroU32,
    /// Writers at the same time, one measurement for each number.
    #[arg(long, default_value = "64,1024", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=MAX_WRITERS))]
    pub(super) writers: Vec<u32>,
    /// Readers at the same time.
    #[arg(long, default_value = "64", value_parser = clap::value_parser!(u32).range(1..=MAX_WRITERS))]
    pub(super) readers: u32,
    /// Connections that writers and readers share.
    #[arg(long, default_value = "8", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(super) connections: u32,
    /// Milliseconds of each turn of writing or reading.
    #[arg(long, default_value = "1000", value_parser = clap::value_parser!(u32).range(10..=60_000))]
    pub(super) turn_ms: u32,
    /// Leaders that are killed; 0 leaves it out.
    #[arg(long, default_value = "20", value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub(super) kills: u32,
    /// Agents that are connected at the same time; 0 leaves it out.
    #[arg(long, default_value = "10000", value_parser = clap::value_parser!(u32).range(0..=MAX_AGENTS))]
    pub(super) agents: u32,
    /// Seconds for which the coordinators are watched while the agents send their heartbeats.
    #[arg(long, default_value = "10", value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub(super) watch_s: u32,
    /// Folder for the data of all members; on a disk, or its fsync means nothing. What is written there is removed again.
    #[arg(long, value_name = "DIR", default_value = ".convoy")]
    pub(super) data_dir: PathBuf,
    #[command(flatten)]
    pub(super) etcd: EtcdArguments,
    #[command(flatten)]
    pub(super) file: FileArguments,
}

#[derive(Debug, Args)]
pub(super) struct EtcdArguments {
    /// The etcd to compare with; Debian has it in its package etcd-server.
    #[arg(long, value_name = "PATH", default_value = "etcd")]
    pub(super) etcd: PathBuf,
    /// Measure only Convoy.
    #[arg(long, conflicts_with = "etcd")]
    pub(super) without_etcd: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MemberArguments {
    /// Program and arguments; whoever starts this appends its own process id.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    pub(super) command: Vec<OsString>,
}

/// Networks that both sides know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ModelArgument {
    #[value(name = "small_cnn")]
    SmallCnn,
    #[value(name = "resnet18")]
    Resnet18,
}

/// How gradients are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ReproducibilityArgument {
    Fast,
    Bitwise,
}

impl TrainArguments {
    /// How ours sum gradients: each way once.
    pub(super) fn modes(&self) -> Vec<Reproducibility> {
        let pairs = [
            (ReproducibilityArgument::Fast, Reproducibility::Fast),
            (ReproducibilityArgument::Bitwise, Reproducibility::Bitwise),
        ];
        let asked = pairs
            .into_iter()
            .filter(|(argument, _)| self.reproducibility.contains(argument));
        asked.map(|(_, mode)| mode).collect()
    }
}

/// Bytes of messages, whole numbers of f32.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sizes(pub(super) Vec<u64>);

fn sizes(text: &str) -> Result<Sizes, String> {
    let mut sizes = Vec::new();
    for part in text.split(',') {
        match part.split_once("..") {
            None => sizes.push(size(part)?),
            Some((first, last)) => sizes.extend(range(size(first)?, size(last)?)?),
        }
    }
    Ok(Sizes(sizes))
}

fn range(first: u64, last: u64) -> Result<Vec<u64>, String> {
    if first > last {
        return Err("a range goes from the smaller size to the larger".to_owned());
    }
    let mut sizes: Vec<u64> = std::iter::successors(Some(first), |size| Some(size * RANGE_FACTOR))
        .take_while(|size| *size < last)
        .collect();
    sizes.push(last);
    Ok(sizes)
}

fn size(text: &str) -> Result<u64, String> {
    let units = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("B", 1),
    ];
    let found = units
        .iter()
        .find_map(|(unit, bytes)| Some((text.trim().strip_suffix(unit)?, *bytes)));
    let (number, unit) = found.ok_or_else(|| format!("{text} needs a unit: B, KiB, MiB or GiB"))?;
    let number = u64::from_str(number.trim()).map_err(|_| format!("{text} is no size"))?;
    let bytes = number.saturating_mul(unit);
    if bytes == 0 || bytes > MAX_MESSAGE_BYTES || !bytes.is_multiple_of(4) {
        return Err(format!(
            "{text} is not a whole number of f32 (4 bytes) up to 1 GiB"
        ));
    }
    Ok(bytes)
}

/// `65536` as `64 KiB`.
pub(super) fn size_text(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units.iter().find(|(unit, _)| bytes.is_multiple_of(*unit));
    unit.map_or_else(
        || format!("{bytes} B"),
        |(unit, name)| format!("{} {name}", bytes / unit),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_lists_and_ranges() {
        let bytes = |text| sizes(text).map(|sizes| sizes.0);
        assert_eq!(bytes("1KiB,64 KiB"), Ok(vec![1_024, 65_536]));
        assert_eq!(bytes("1KiB..20KiB"), Ok(vec![1_024, 4_096, 16_384, 20_480]));
        assert_eq!(bytes("1KiB..256MiB").unwrap().len(), 10);
        assert_eq!(bytes("4B..4B,1GiB"), Ok(vec![4, 1 << 30]));
    }

    #[test]
    fn sizes_that_are_none_are_refused_with_what_they_lack() {
        for (text, word) in [
            ("64", "unit"),
            ("xKiB", "no size"),
            ("3B", "whole number"),
            ("2GiB", "up to 1 GiB"),
            ("0KiB", "whole number"),
            ("2KiB..1KiB", "smaller"),
            ("", "unit"),
        ] {
            let refused = sizes(text).unwrap_err();
            assert!(refused.contains(word), "{text}: {refused}");
        }
    }

    #[test]
    fn sizes_are_shown_in_the_largest_whole_unit() {
        let texts = [4, 1_024, 1_536, 1 << 20, 1 << 30].map(size_text);
        assert_eq!(texts, ["4 B", "1 KiB", "1536 B", "1 MiB", "1 GiB"]);
    }
}
