//! The agent of a node: starts, watches and ends one worker process per device slot.
//!
//! `roster` decides, purely, from what should run and what runs; `agent` feeds it and performs; `life` is one worker
//! process from start to exit; `link` is the session with the coordinator.
//!
//! **Invariant:** no worker outlives the agent, however the agent ends.
//!
//! **Invariant:** an incarnation is started at most once, and its successor only after it was waited for.

mod agent;
mod arguments;
mod life;
mod link;
mod log_file;
mod preflight;
mod roster;
mod wire;

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use convoy_output::notice;
use convoy_process::{Signal, Spawner, die_with_parent};
use convoy_telemetry::LogTarget;

use arguments::Arguments;

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            notice(format_args!("convoy-agent: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    if let Some(parent) = arguments.parent_pid {
        // SIGTERM leaves the agent time to end its workers in order. Its own limit on that makes the end certain.
        die_with_parent(parent, Signal::TERM)?;
    }
    let label = convoy_telemetry::init(&LogTarget::Stderr, "info")?;
    label.set(format!("agent {}", arguments.node_id));
    let spawner = Spawner::start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // The session, the exits and the signals; none of them computes.
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    runtime.block_on(agent::run(arguments, spawner))
}
