//! Set-up, quickstart, lint and tests: `cargo xtask COMMAND`.
//!
//! Nothing here needs libtorch; whatever is fetched lands whole under `.libtorch`, `.data` or `.tools` or not at all.

mod commands;
mod dataset;
mod fetch;
mod installed;
mod libtorch;
mod lint;
mod progress;
mod quickstart;
mod setup;
mod staging;
mod steps;
mod system_packages;
mod test_run;
mod torchvision;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use convoy_output::notice;

use crate::steps::Steps;
use crate::workspace::Workspace;

/// Sets Convoy up, shows it, checks it.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fetch what is missing: system packages, libtorch, Fashion-MNIST.
    Setup(Common),
    /// Set up, build, and train the example job on two workers.
    Quickstart(Common),
    /// Set up and run every check and test.
    Test {
        /// Add the slow tests and the advisory database.
        #[arg(long)]
        long: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Formatting, clippy, and the rules for dependencies.
    Lint(Common),
}

/// What all commands take.
#[derive(clap::Args)]
struct Common {
    /// Use this torch 2.11.0 (a `site-packages/torch` or an unpacked libtorch) instead of fetching one.
    /// The environment variable LIBTORCH says the same.
    #[arg(long, value_name = "PATH")]
    libtorch: Option<PathBuf>,
    /// Write the steps and their seconds to this file as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Command {
    fn common(&self) -> &Common {
        match self {
            Self::Setup(common) | Self::Quickstart(common) | Self::Lint(common) => common,
            Self::Test { common, .. } => common,
        }
    }

    fn run(&self, workspace: &Workspace, steps: &mut Steps) -> anyhow::Result<()> {
        let named = libtorch::named(self.common().libtorch.as_deref(), workspace);
        match self {
            Self::Setup(_) => setup::everything(workspace, named.as_deref(), steps),
            Self::Quickstart(_) => quickstart::run(workspace, named.as_deref(), steps),
            Self::Test { long, .. } => test_run::run(workspace, named.as_deref(), *long, steps),
            Self::Lint(_) => {
                setup::build_only(workspace, named.as_deref(), steps)?;
                lint::run(workspace, steps)
            }
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut steps = Steps::default();
    let result =
        Workspace::locate().and_then(|workspace| arguments.command.run(&workspace, &mut steps));
    steps.print_table();
    let written = match &arguments.command.common().json {
        Some(path) => steps.write_json(path),
        None => Ok(()),
    };
    match result.and(written) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            notice(format_args!("error: {error:#}"));
            commands::exit_code_of(&error)
        }
    }
}
