//! The agent of a node: starts, watches and ends one worker process per device slot.
//!
//! `arguments` and `settings` turn flags or a configuration file into what it works with. `roster` decides, purely, from what
//! should run and what runs; `agent` feeds it and performs; `life` is one worker process from start to exit. The session
//! with the leader is `convoy_client`'s.
//!
//! **Invariant:** no worker outlives the agent, however the agent ends.
//!
//! **Invariant:** an incarnation is started at most once, and its successor only after it was waited for.

mod agent;
mod arguments;
mod interface;
mod life;
mod log_file;
mod log_part;
mod memory;
mod preflight;
mod roster;
mod settings;
mod wire;

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use convoy_output::notice;
use convoy_process::{Signal, Spawner, die_with_parent};
use convoy_telemetry::LogTarget;

use arguments::Arguments;
use settings::Settings;

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
    let config = arguments.into_config()?;
    let label = convoy_telemetry::init(&LogTarget::Stderr, "info")?;
    label.set(format!("agent {}", config.node_id));
    let settings = Settings::of(config, Spawner::start()?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // The session, the exits and the signals; none of them computes.
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    runtime.block_on(agent::run(settings))
}
