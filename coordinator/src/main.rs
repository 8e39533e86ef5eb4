//! A coordinator as a process of its own; it keeps its state in memory.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use convoy_access::Access;
use convoy_coordinator::{Coordinator, EmbeddedConfig};
use convoy_telemetry::LogTarget;
use tokio::signal::unix::{SignalKind, signal};

/// Coordinates jobs until SIGTERM or Ctrl-C.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen; off loopback only with --cluster-key or --insecure.
    #[arg(long, default_value = "127.0.0.1:7700")]
    listen: SocketAddr,
    /// File with the cluster's key: only who knows it is served.
    #[arg(long)]
    cluster_key: Option<PathBuf>,
    /// Serve everyone who reaches this coordinator.
    #[arg(long, conflicts_with = "cluster_key")]
    insecure: bool,
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
    let access = Access::open(arguments.cluster_key.as_deref(), arguments.insecure)?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
        let config = EmbeddedConfig {
            listen: arguments.listen,
            access,
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
