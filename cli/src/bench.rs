//! `convoy bench`: figures beside those of others, on this machine.
//!
//! Contenders take turns, so that whatever disturbs the machine disturbs all of them. Beside PyTorch this process only
//! conducts: contenders are [`group`]s of processes, ours hidden commands of `convoy-worker`, the others Python scripts that
//! stand beside this file. Beside etcd ([`coordinator`]) it is the client of both.

mod allreduce;
mod arguments;
mod coordinator;
mod group;
mod machine;
mod python;
mod report;
mod statistics;
mod train;

use std::process::ExitCode;

use anyhow::Context;
use convoy_output::notice;
use convoy_process::Spawner;

pub(crate) use arguments::BenchCommand;

use crate::run::Interrupts;

/// Measures until it is done or someone wants it to end; nothing that was started is left then.
pub(crate) fn bench(command: &BenchCommand) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the conductor")?;
    runtime.block_on(async {
        let mut interrupts = Interrupts::listen()?;
        let spawner = Spawner::start()?;
        let measure = async {
            match command {
                BenchCommand::Allreduce(arguments) => allreduce::run(arguments, &spawner).await,
                BenchCommand::Coordinator(arguments) => coordinator::run(arguments, &spawner).await,
                BenchCommand::Member(arguments) => Err(coordinator::become_member(arguments)),
                BenchCommand::Train(arguments) => train::run(arguments, &spawner).await,
            }
        };
        tokio::select! {
            measured = measure => measured.map(|()| ExitCode::SUCCESS),
            interrupt = interrupts.next() => {
                notice(interrupt.reason());
                Ok(ExitCode::from(interrupt.exit_code()))
            }
        }
    })
}
