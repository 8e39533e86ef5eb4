//! The parts of set-up in their order: what is already right is left alone, so all of it works offline later.

use std::path::Path;

use anyhow::Result;

use crate::libtorch::Plan;
use crate::steps::Steps;
use crate::system_packages::Needs;
use crate::workspace::Workspace;
use crate::{dataset, libtorch, system_packages};

/// What building, testing and the example job need.
pub(crate) fn everything(
    workspace: &Workspace,
    named: Option<&Path>,
    steps: &mut Steps,
) -> Result<()> {
    prepare(workspace, named, dataset::is_missing(workspace), steps)?;
    steps.run("dataset", "Fashion-MNIST, 31 MB", || {
        dataset::establish(workspace)
    })
}

/// What building needs.
pub(crate) fn build_only(
    workspace: &Workspace,
    named: Option<&Path>,
    steps: &mut Steps,
) -> Result<()> {
    prepare(workspace, named, false, steps)
}

fn prepare(
    workspace: &Workspace,
    named: Option<&Path>,
    python: bool,
    steps: &mut Steps,
) -> Result<()> {
    let plan = libtorch::plan(workspace, named)?;
    let (pip, what) = match &plan {
        Plan::Use { .. } => (false, "linking the one that is there".to_owned()),
        Plan::Fetch(why) => (
            true,
            format!("{why}, so 544 MB are downloaded into .libtorch"),
        ),
    };
    steps.run("system packages", "C++ compiler, make, Python", || {
        system_packages::establish(&Needs { pip, python })
    })?;
    steps.run("libtorch", &what, || libtorch::establish(workspace, &plan))
}
