//! The command line: what runs a job on this machine, what speaks with a cluster, and what needs neither.
//!
//! **Boundary:** what a person types and sees. `convoy run` brings up a coordinator and an agent of its own and is from
//! then on a client like any other: nothing here trains, places or decides.

mod arguments;
mod bench;
mod commands;
mod display;
mod failure;
mod result_file;
mod run;
mod spec_file;
mod starting_weights;
mod summary;
mod words;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, CheckpointCommand, Command};

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come here too, with code 0. A closed terminal is no reason to complain.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(failure::USAGE));
        }
    };
    let outcome = match &arguments.command {
        Command::Run(arguments) => run::run(arguments),
        Command::Submit(arguments) => commands::submit(arguments),
        Command::Ps(arguments) => commands::ps(arguments),
        Command::Nodes(arguments) => commands::nodes(arguments),
        Command::Describe(arguments) => commands::describe(arguments),
        Command::Cancel(arguments) => commands::cancel(arguments),
        Command::Logs(arguments) => commands::logs(arguments),
        Command::Resubmit(arguments) => commands::resubmit(arguments),
        Command::Validate(arguments) => commands::validate(arguments),
        Command::Schema => commands::schema(),
        Command::Checkpoint(CheckpointCommand::Export(arguments)) => commands::export(arguments),
        Command::Checkpoint(CheckpointCommand::Show(arguments)) => commands::show(arguments),
        Command::Cluster(arguments) => commands::cluster(arguments),
        Command::Bench(command) => bench::bench(command),
    };
    outcome.unwrap_or_else(|error| failure::report(&error))
}
