//! `cargo xtask test`: set-up, then every check and test, quick ones first so that a failure shows early.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::steps::{Ending, Steps};
use crate::workspace::Workspace;
use crate::{commands, lint, setup, system_packages, torchvision};

/// The package of tests that start real processes; these run one at a time.
const PROCESS_TESTS: &str = "cluster-tests";

struct Suite {
    name: &'static str,
    what: &'static str,
    /// After `cargo test --locked --profile ci`. Always of the whole workspace: a part of it would resolve other
    /// features of what it depends on, and build that once more.
    arguments: &'static [&'static str],
}

const TIDY: Suite = Suite {
    name: "tidy",
    what: "the rules of the tree itself",
    arguments: &["--workspace", "--test", "tidy"],
};

const USUAL: [Suite; 3] = [
    Suite {
        name: "unit tests",
        what: "every crate for itself",
        arguments: &["--workspace", "--exclude", PROCESS_TESTS],
    },
    Suite {
        name: "simulation",
        what: "the replicated coordinator under simulated faults, by seeds",
        // One test at a time: each uses all cores. What it did is shown.
        arguments: &[
            "--workspace",
            "--test",
            "simulation",
            "--",
            "--test-threads=1",
            "--nocapture",
        ],
    },
    Suite {
        name: "process tests",
        what: "clusters of real processes, one at a time",
        arguments: &[
            "--workspace",
            "--test",
            "processes",
            "--",
            "--test-threads=1",
        ],
    },
];

const LONG: [Suite; 3] = [
    Suite {
        name: "long unit tests",
        what: "the slow ones of every crate",
        arguments: &[
            "--workspace",
            "--exclude",
            PROCESS_TESTS,
            "--lib",
            "--bins",
            "--tests",
            "--",
            "--ignored",
            "long_",
        ],
    },
    Suite {
        name: "long simulation",
        what: "a million schedules",
        arguments: &[
            "--workspace",
            "--test",
            "simulation",
            "--",
            "--test-threads=1",
            "--nocapture",
            "--ignored",
            "long_",
        ],
    },
    Suite {
        name: "long process tests",
        what: "the slow ones on real processes",
        arguments: &[
            "--workspace",
            "--test",
            "processes",
            "--",
            "--test-threads=1",
            "--ignored",
            "long_",
        ],
    },
];

/// Sets up, then runs every check and test; the first failure ends it.
pub(crate) fn run(
    workspace: &Workspace,
    named: Option<&Path>,
    long: bool,
    steps: &mut Steps,
) -> Result<()> {
    setup::everything(workspace, named, steps)?;
    steps.run(
        "packages of tests",
        "ip and unshare, for tests on hosts of their own",
        system_packages::establish_for_tests,
    )?;
    lint::format(workspace, steps)?;
    run_suite(workspace, &TIDY, None, steps)?;
    lint::clippy(workspace, steps)?;
    lint::dependencies(workspace, steps)?;
    build(workspace, steps)?;
    let torchvision = if long {
        Some(torchvision::ensure(workspace, steps)?)
    } else {
        None
    };
    for suite in &USUAL {
        run_suite(workspace, suite, torchvision.as_deref(), steps)?;
    }
    if long {
        for suite in &LONG {
            run_suite(workspace, suite, None, steps)?;
        }
        lint::advisories(workspace, steps)?;
    }
    Ok(())
}

/// Everything in one go: programs for the process tests to start, and all tests.
fn build(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    let mut build = workspace.cargo(&[
        "build",
        "--locked",
        "--profile",
        "ci",
        "--workspace",
        "--all-targets",
    ]);
    steps.run(
        "build",
        "all programs and tests in the profile `ci`",
        || commands::run(&mut build, "the build").map(|()| Ending::Done),
    )
}

/// Runs a suite; where a folder with torchvision is named, its tests compare with that.
fn run_suite(
    workspace: &Workspace,
    suite: &Suite,
    torchvision: Option<&Path>,
    steps: &mut Steps,
) -> Result<()> {
    let mut test = command(workspace, suite);
    if let Some(folder) = torchvision {
        torchvision::offer(&mut test, folder);
    }
    steps.run(suite.name, suite.what, || {
        commands::run(&mut test, suite.name).map(|()| Ending::Done)
    })
}

fn command(workspace: &Workspace, suite: &Suite) -> Command {
    let mut command = workspace.cargo(&["test", "--locked", "--profile", "ci"]);
    command
        .args(suite.arguments)
        // Tests run side by side already: more threads within one only wait for each other, and actively.
        .env("OMP_NUM_THREADS", "1")
        .env("OMP_WAIT_POLICY", "passive")
        .env("CONVOY_BIN_DIR", workspace.target.join("ci"));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(suite: &Suite) -> String {
        commands::line(&command(&Workspace::at("/tree".into()), suite))
    }

    #[test]
    fn tests_of_the_cluster_run_one_at_a_time_and_know_the_programs() {
        for suite in USUAL[1..].iter().chain(&LONG[1..]) {
            let line = line(suite);
            assert!(line.contains("--test-threads=1"), "{line}");
            assert!(line.contains("CONVOY_BIN_DIR=/tree/target/ci "), "{line}");
        }
    }

    #[test]
    fn long_suites_run_exactly_the_ignored_tests() {
        for suite in &LONG {
            assert!(line(suite).ends_with("--ignored long_"), "{}", line(suite));
        }
        for suite in USUAL.iter().chain([&TIDY]) {
            assert!(!line(suite).contains("--ignored"), "{}", line(suite));
        }
    }
}
