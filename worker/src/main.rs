//! One worker process: its session with the coordinator and its training loop.
//!
//! Three parts: [`session`] speaks with the coordinator, `convoy_membership` decides (pure), [`replica`] computes on a
//! thread of its own. This file starts them and says how the process ended.

mod arguments;
mod bench;
mod check;
mod convert;
mod replica;
mod said;
mod session;

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use convoy_output::notice;
use convoy_process::{Signal, die_with_parent};
use convoy_telemetry::LogTarget;

use crate::arguments::{Arguments, Mode};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The agent passes on the last lines of this process, so that they must say everything.
            notice(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    // In every mode: a check whose agent was killed must not stay either.
    if let Some(parent) = arguments.parent_pid() {
        die_with_parent(parent, Signal::KILL)?;
    }
    match arguments.mode()? {
        Mode::Check => check::check(),
        Mode::Bench(command) => bench::run(&command),
        Mode::Work(work) => {
            let label = convoy_telemetry::init(&LogTarget::Stderr, "info")?;
            label.set(format!("worker {}", work.me.worker));
            convoy_torch::check_library()?;
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .context("could not start the runtime of the session")?;
            runtime.block_on(session::run(*work, &label))
        }
    }
}
