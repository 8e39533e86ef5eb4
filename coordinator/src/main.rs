//! A coordinator as a process of its own.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use convoy_access::Access;
use convoy_common::config::CoordinatorConfig;
use convoy_coordinator::{Coordinator, CoordinatorSettings};
use convoy_telemetry::LogTarget;
use tokio::signal::unix::{SignalKind, signal};

/// Thousands of small values a second come and go: a tenth faster than the C library's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Coordinates jobs, alone or as one of several, until SIGTERM or Ctrl-C.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Its configuration, a TOML file; relative paths in it start from its folder.
    #[arg(long)]
    config: PathBuf,
    /// The first start of a new cluster: say it once, for each of its coordinators, and never again. A coordinator that lost
    /// its data must not take part in a second beginning of its cluster.
    #[arg(long)]
    create_cluster: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            convoy_output::notice(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    convoy_telemetry::init(&LogTarget::Stderr, "info")?;
    // Every agent and worker of the cluster holds a connection.
    if let Err(error) = convoy_process::raise_open_files() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let config = read(&arguments.config)?;
    let access = Access::open(config.cluster_key.as_deref(), config.insecure)?;
    let settings = CoordinatorSettings::from_file(&config, access, arguments.create_cluster);
    // For signals; the coordinator has a thread of its own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
        let coordinator = Coordinator::start(settings).await?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        coordinator.shutdown().await;
        Ok(())
    })
}

fn read(path: &Path) -> anyhow::Result<CoordinatorConfig> {
    let name = path.display().to_string();
    let source = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    let mut config = CoordinatorConfig::parse(&source, &name)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    config.resolve_paths(folder);
    Ok(config)
}
