//! A job spec on disk, and whether the data it names can be trained on.

use std::fs::File;
use std::io::Read;
use std::path::{Path, absolute};

use anyhow::Context;
use convoy_common::limits::MAX_SPEC_BYTES;
use convoy_common::partition::EpochPlan;
use convoy_common::spec::JobSpec;
use convoy_data::Transform;

/// How much work the data of a spec makes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    /// How epochs are cut into steps.
    pub(crate) plan: EpochPlan,
    /// Samples of the test split.
    pub(crate) test_samples: u64,
}

/// Reads and checks a spec; its relative paths are made absolute from its folder.
pub(crate) fn read(path: &Path) -> anyhow::Result<JobSpec> {
    let mut spec = read_as_written(path)?;
    let unreadable = || unreadable(path);
    let place = absolute(path).with_context(unreadable)?;
    let folder = place.parent().unwrap_or(Path::new("/"));
    spec.resolve_paths(&folder.canonicalize().with_context(unreadable)?);
    Ok(spec)
}

/// Reads and checks a spec; relative paths stay so, for the nodes that will run it.
pub(crate) fn read_as_written(path: &Path) -> anyhow::Result<JobSpec> {
    let unreadable = || unreadable(path);
    let mut source = String::new();
    let file = File::open(path).with_context(unreadable)?;
    // One byte more than allowed lets the parser refuse it with its own words.
    file.take(MAX_SPEC_BYTES as u64 + 1)
        .read_to_string(&mut source)
        .with_context(unreadable)?;
    Ok(JobSpec::parse(&source, &path.display().to_string())?)
}

fn unreadable(path: &Path) -> String {
    format!("cannot read the job spec {}", path.display())
}

/// Opens both splits, checks everything but the pixels, also against the network, and cuts the epochs.
pub(crate) fn check_data(spec: &JobSpec) -> anyhow::Result<Workload> {
    let (data, seed) = (&spec.data, spec.training.seed);
    let splits = convoy_data::open(data, spec.model.classes)?;
    let shape = splits.train.shape();
    spec.model.check_images(shape.height, shape.width)?;
    Transform::training(shape, &data.mean, &data.std, &data.augment, seed)?;
    let samples = splits.train.len() as u64;
    let plan = EpochPlan::new(
        samples,
        u64::from(spec.training.global_batch),
        spec.data_shards(),
    )?;
    Ok(Workload {
        plan,
        test_samples: splits.test.len() as u64,
    })
}
