//! `cargo xtask quickstart`: from a fresh clone to a trained network.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::thread;

use anyhow::{Context, Result};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::commands::{self, PassedOn};
use crate::setup;
use crate::steps::{Ending, Steps};
use crate::workspace::Workspace;

const EXAMPLE: &str = "deploy/examples/fashion-mnist.toml";
const WORKERS: &str = "2";

/// Sets up, builds, trains; the exit code of the training is passed on.
pub(crate) fn run(workspace: &Workspace, named: Option<&Path>, steps: &mut Steps) -> Result<()> {
    setup::everything(workspace, named, steps)?;
    let mut build = workspace.cargo(&["build", "--locked", "--release", "--bins"]);
    build.args([
        "--package",
        "convoy",
        "--package",
        "convoy-agent",
        "--package",
        "convoy-worker",
    ]);
    steps.run(
        "build",
        "the programs, optimised; takes some minutes the first time",
        || commands::run(&mut build, "the build").map(|()| Ending::Done),
    )?;
    let mut convoy = Command::new(workspace.target.join("release/convoy"));
    convoy
        .args(["run", EXAMPLE, "--workers", WORKERS])
        .current_dir(&workspace.root);
    let what = shown(workspace, &convoy);
    steps.run("training", &what, || train(&mut convoy, &what))
}

/// The command as a user in the root would type it.
fn shown(workspace: &Workspace, convoy: &Command) -> String {
    let line = commands::line(convoy);
    let root = fs::canonicalize(&workspace.root).unwrap_or_else(|_| workspace.root.clone());
    line.replacen(&format!("{}/", root.display()), "", 1)
}

fn train(convoy: &mut Command, shown: &str) -> Result<Ending> {
    let status = outlive(convoy).with_context(|| format!("cannot run {shown}"))?;
    conclude(status, shown)
}

fn conclude(status: ExitStatus, shown: &str) -> Result<Ending> {
    if status.success() {
        return Ok(Ending::Done);
    }
    let how = commands::how(status);
    let reason = format!("the training failed ({how}); to repeat only this:\n  {shown}");
    let code = commands::shell_code(status);
    Err(PassedOn { reason, code }.into())
}

/// Runs a program and waits for it through Ctrl-C, which the terminal sends to it as well; passes a SIGTERM on to it.
fn outlive(command: &mut Command) -> Result<ExitStatus> {
    // Before the start, or a signal in between would end only this process.
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let handle = signals.handle();
    let mut child = command.spawn()?;
    let pid = Pid::from_child(&child);
    // A handle of its own, so that a signal can never reach another process that got the same number.
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    thread::scope(|scope| {
        scope.spawn(move || {
            for signal in signals.forever() {
                if signal == SIGTERM {
                    // It can only have ended already, which the wait below sees.
                    let _ = pidfd_send_signal(&process, Signal::TERM);
                }
            }
        });
        let status = child.wait();
        handle.close();
        Ok(status?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn exit_code_of_the_training_is_passed_on_with_how_to_repeat_it() {
        let status = shell("exit 42").status().unwrap();
        let error = conclude(status, "convoy run x").err().unwrap();
        assert!(error.to_string().contains("exit code 42"), "{error}");
        assert!(error.to_string().ends_with("\n  convoy run x"), "{error}");
        assert_eq!(error.downcast_ref::<PassedOn>().unwrap().code, 42);
    }

    #[test]
    fn interrupt_is_left_to_the_child_and_a_termination_is_passed_on() {
        // The child sends both to this very process once it can hear the answer.
        let script = "trap 'exit 5' TERM; kill -INT $PPID; kill -TERM $PPID; while :; do :; done";
        assert_eq!(outlive(&mut shell(script)).unwrap().code(), Some(5));
    }
}
