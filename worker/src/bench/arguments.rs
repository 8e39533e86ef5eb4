//! Who a member is.

use clap::{Args, Subcommand};

use super::train::TrainArguments;

/// Started by `convoy bench`.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// All-reduces of given sizes.
    #[command(hide = true)]
    BenchAllreduce(MemberArguments),
    /// Training steps.
    #[command(hide = true)]
    BenchTrain(TrainArguments),
}

impl BenchCommand {
    /// The member's place.
    pub(crate) fn member(&self) -> &MemberArguments {
        match self {
            Self::BenchAllreduce(member) => member,
            Self::BenchTrain(train) => &train.member,
        }
    }
}

/// A member's place among those that work together.
#[derive(Clone, Debug, Args)]
pub(crate) struct MemberArguments {
    /// Its number, from 0.
    #[arg(long)]
    pub(crate) rank: u32,
    /// How many there are.
    #[arg(long)]
    pub(crate) world: u32,
    /// The process that must outlive this one.
    #[arg(long)]
    pub(crate) parent_pid: Option<u32>,
}
