//! What Python needs so that tests can compare with torchvision. Only the long run fetches it: several GB.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::commands;
use crate::steps::{Ending, Steps};
use crate::workspace::Workspace;

/// torchvision 0.26 goes with the libtorch that we link.
const REQUIREMENTS: [&str; 4] = [
    "torch==2.11.0",
    "torchvision==0.26.0",
    "safetensors",
    "numpy",
];

/// Installs it below `.tools`, if it is not there, and names the folder.
pub(crate) fn ensure(workspace: &Workspace, steps: &mut Steps) -> Result<PathBuf> {
    let folder = workspace.tools().join("torchvision");
    let mut install = Command::new("python3");
    install
        .args(["-m", "pip", "install", "--disable-pip-version-check"])
        .args(["--upgrade", "--target"])
        .arg(&folder)
        .args(REQUIREMENTS);
    let what = "what Python needs to compare with torchvision, into .tools; several GB";
    steps.run("torchvision", what, || {
        if is_there(&folder) {
            return Ok(Ending::AlreadyRight("torchvision is there".to_owned()));
        }
        commands::run(&mut install, "installing torchvision")
            .context("the long tests compare networks and weights with it")?;
        Ok(Ending::Done)
    })?;
    Ok(folder)
}

/// Has the tests of `command` compare with what lies in `folder`, and fail where they can't.
pub(crate) fn offer(command: &mut Command, folder: &Path) {
    command
        .env("CONVOY_PYTHON", "python3")
        .env("PYTHONPATH", folder);
}

fn is_there(folder: &Path) -> bool {
    let mut import = Command::new("python3");
    import
        .args(["-c", "import safetensors, torchvision"])
        .env("PYTHONPATH", folder);
    commands::capture(&mut import, "python3").is_ok()
}
