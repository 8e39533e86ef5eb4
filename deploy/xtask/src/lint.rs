//! Checks that run no test: formatting, clippy, and the rules for dependencies.

use std::process::Command;

use anyhow::{Context, Result};
use convoy_output::notice;

use crate::commands;
use crate::steps::{Ending, Steps};
use crate::workspace::Workspace;

/// Newer ones may know new lints and fail an unchanged tree.
const CARGO_DENY: &str = "0.20.2";

/// All three checks; the first that fails ends it.
pub(crate) fn run(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    format(workspace, steps)?;
    clippy(workspace, steps)?;
    dependencies(workspace, steps)
}

/// Formatting, in no time.
pub(crate) fn format(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    let mut fmt = workspace.cargo(&["fmt", "--all", "--", "--check"]);
    steps.run("format", "rustfmt, as `cargo fmt` does it", || {
        commands::run(&mut fmt, "the format check (`cargo fmt --all` mends it)")
            .map(|()| Ending::Done)
    })
}

/// Clippy in the profile of the tests, so that libtorch's bindings are built once for both.
pub(crate) fn clippy(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    let mut clippy = workspace.cargo(&["clippy", "--locked", "--profile", "ci", "--workspace"]);
    clippy.args(["--all-targets", "--", "--deny", "warnings"]);
    steps.run("clippy", "no warning anywhere", || {
        commands::run(&mut clippy, "clippy").map(|()| Ending::Done)
    })
}

/// Licences, banned crates and sources, by the rules of `deny.toml`.
pub(crate) fn dependencies(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    install_cargo_deny(workspace, steps)?;
    let mut deny = cargo_deny(
        workspace,
        &[
            "check",
            "--hide-inclusion-graph",
            "bans",
            "licenses",
            "sources",
        ],
    );
    steps.run(
        "dependencies",
        "licences, bans and sources by deny.toml",
        || commands::run(&mut deny, "cargo-deny").map(|()| Ending::Done),
    )
}

/// Known vulnerabilities, where the advisory database can be reached.
pub(crate) fn advisories(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    install_cargo_deny(workspace, steps)?;
    steps.run(
        "advisories",
        "known vulnerabilities of dependencies",
        || {
            if let Err(error) = commands::capture(
                &mut cargo_deny(workspace, &["fetch", "db"]),
                "cargo-deny fetch",
            ) {
                notice(format_args!("    {error:#}"));
                return Ok(Ending::NotRun(
                    "the advisory database cannot be reached".to_owned(),
                ));
            }
            let mut check = cargo_deny(workspace, &["check", "--disable-fetch", "advisories"]);
            commands::run(&mut check, "cargo-deny").map(|()| Ending::Done)
        },
    )
}

fn install_cargo_deny(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    if has_version(&cargo_deny_version(workspace)) {
        return Ok(());
    }
    let mut install = workspace.cargo(&[
        "install",
        "cargo-deny",
        "--version",
        CARGO_DENY,
        "--locked",
        "--force",
    ]);
    install.arg("--root").arg(workspace.tools());
    steps.run(
        "cargo-deny",
        "built into .tools, once; takes some minutes",
        || {
            commands::run(&mut install, "installing cargo-deny").context(
                "the dependency check needs it; with network, the same command tries again",
            )?;
            Ok(Ending::Done)
        },
    )
}

fn cargo_deny_version(workspace: &Workspace) -> String {
    commands::capture(&mut cargo_deny(workspace, &["--version"]), "cargo-deny").unwrap_or_default()
}

fn has_version(printed: &str) -> bool {
    printed.split_whitespace().nth(1) == Some(CARGO_DENY)
}

fn cargo_deny(workspace: &Workspace, arguments: &[&str]) -> Command {
    let mut command = Command::new(workspace.tools().join("bin/cargo-deny"));
    command.args(arguments).current_dir(&workspace.root);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pinned_cargo_deny_counts_as_installed() {
        assert!(has_version("cargo-deny 0.20.2\n"));
        assert!(!has_version("cargo-deny 0.20.20\n"));
        assert!(!has_version(""));
    }
}
