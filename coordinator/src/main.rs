//! A coordinator as a process of its own; it keeps its state in memory and so serves one host, on loopback.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use convoy_coordinator::{Coordinator, EmbeddedConfig};
use convoy_telemetry::LogTarget;
use tokio::signal::unix::{SignalKind, signal};

/// Coordinates jobs until SIGTERM or Ctrl-C.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen; only loopback addresses, because peers are not authenticated yet.
    #[arg(long, default_value = "127.0.0.1:7700")]
    listen: SocketAddr,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    convoy_telemetry::init(&LogTarget::Stderr, "info")?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
        let config = EmbeddedConfig {
            listen: arguments.listen,
            shutdown_ends_agents: false,
            ..EmbeddedConfig::default()
        };
        let coordinator = Coordinator::start(config).await?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        coordinator.shutdown().await;
        Ok(())
    })
}
