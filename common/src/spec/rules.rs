//! What no type, range or single field can say.

mod optimizer;
mod schedule;

use super::{JobSpec, ModelName, Stem};
use crate::document::{Finding, KeyPath, quoted};
use crate::limits::MAX_ENV_VARIABLE_BYTES;
use crate::partition::MIN_SHARD_SAMPLES;

/// Variables that Convoy itself sets, with what to use instead.
const RESERVED: [(&str, &str); 3] = [
    ("OMP_NUM_THREADS", "set training.threads_per_worker instead"),
    ("MKL_NUM_THREADS", "set training.threads_per_worker instead"),
    (
        "OMP_WAIT_POLICY",
        "workers always wait passively, since several share a machine",
    ),
];

/// Every rule that the spec breaks. Values may be out of range: each check bears that.
pub(super) fn check_rules(spec: &JobSpec) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(stem(spec));
    findings.extend(channels(spec));
    findings.extend(class_weights(spec));
    findings.extend(optimizer::check(&spec.optimizer));
    findings.extend(schedule::check(spec));
    findings.extend(worker_bounds(spec));
    findings.extend(workers_and_shards(spec));
    findings.extend(batch_and_shards(spec));
    findings.extend(
        spec.env
            .iter()
            .flat_map(|(name, value)| env_variable(name, value)),
    );
    findings
}

fn path(text: &str) -> KeyPath {
    KeyPath::parse(text)
}

fn stem(spec: &JobSpec) -> Option<Finding> {
    match (spec.model.name, spec.model.stem) {
        (ModelName::SmallCnn, Stem::Cifar) => Some(
            Finding::value(
                path("model.stem"),
                "model.name small_cnn has no stem to choose",
            )
            .note("leave model.stem out, or take a ResNet, such as model.name = \"resnet18\""),
        ),
        (ModelName::SmallCnn, Stem::Imagenet) => None,
        (
            ModelName::Resnet18
            | ModelName::Resnet34
            | ModelName::Resnet50
            | ModelName::Resnet101
            | ModelName::Resnet152,
            Stem::Imagenet | Stem::Cifar,
        ) => None,
    }
}

fn channels(spec: &JobSpec) -> Option<Finding> {
    let (means, stds) = (spec.data.mean.len(), spec.data.std.len());
    (means != stds).then(|| {
        Finding::value(
            path("data.std"),
            format!("{stds} values, but data.mean has {means}"),
        )
        .note("both need one value per image channel")
    })
}

fn class_weights(spec: &JobSpec) -> Option<Finding> {
    let (weights, classes) = (spec.training.class_weights.len(), spec.model.classes);
    (weights > 0 && weights != classes as usize).then(|| {
        Finding::value(
            path("training.class_weights"),
            format!("{weights} values, but model.classes is {classes}"),
        )
        .note("give one weight per class, or leave the key away to weigh all alike")
    })
}

fn worker_bounds(spec: &JobSpec) -> Option<Finding> {
    let (least, most) = (spec.elastic.min_workers, spec.elastic.max_workers);
    (least > most).then(|| {
        Finding::value(
            path("elastic.min_workers"),
            format!("{least} is more than elastic.max_workers, {most}"),
        )
    })
}

fn workers_and_shards(spec: &JobSpec) -> Option<Finding> {
    let (workers, shards) = (spec.elastic.max_workers, spec.data_shards());
    (workers > shards).then(|| {
        let reason = format!(
            "more workers than data shards: up to {workers} workers cannot share {shards} data shards \
             (training.data_shards), each needs one of its own"
        );
        Finding::value(path("elastic.max_workers"), reason)
            .or_at(path("training.data_shards"))
            .note(format!("set elastic.max_workers = {shards} or training.data_shards = {workers}"))
    })
}

fn batch_and_shards(spec: &JobSpec) -> Option<Finding> {
    let (batch, shards) = (u64::from(spec.training.global_batch), spec.data_shards());
    let least = MIN_SHARD_SAMPLES * u64::from(shards);
    if batch >= least {
        return None;
    }
    let source = match spec.training.data_shards {
        Some(_) => "training.data_shards",
        None => "elastic.max_workers, as training.data_shards is not set",
    };
    let reason = format!(
        "{batch} samples cannot be cut into {shards} data shards ({source}) of at least \
         {MIN_SHARD_SAMPLES} samples, which BatchNorm needs"
    );
    let note = match batch / MIN_SHARD_SAMPLES {
        0 => format!("raise training.global_batch to {least} or more"),
        most => format!(
            "raise training.global_batch to {least} or more, or set training.data_shards to {most} or fewer"
        ),
    };
    let finding = Finding::value(path("training.global_batch"), reason);
    Some(finding.or_at(path("training.data_shards")).note(note))
}

fn env_variable(name: &str, value: &str) -> Option<Finding> {
    let at = path("env").key(name);
    if name.is_empty() || name.contains(['=', '\0']) {
        return Some(Finding::key(
            at,
            "the name of a variable must not be empty nor hold '=' or NUL",
        ));
    }
    if name.starts_with("CONVOY_") {
        return Some(Finding::key(
            at,
            "names that start with CONVOY_ are reserved",
        ));
    }
    if let Some((_, instead)) = RESERVED.iter().find(|(reserved, _)| *reserved == name) {
        return Some(Finding::key(at, "this variable is set by Convoy").note(*instead));
    }
    if value.contains('\0') {
        return Some(Finding::value(
            at,
            "the value of a variable must not hold NUL",
        ));
    }
    let bytes = name.len() + value.len() + 2;
    (bytes > MAX_ENV_VARIABLE_BYTES).then(|| {
        let reason = format!("{bytes} bytes with its name; Linux takes at most {MAX_ENV_VARIABLE_BYTES} in one variable");
        Finding::value(at, reason)
    })
}

/// garde's check of [`JobSpec::name`]: with the number that is appended, it must do as a job id.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is garde's"
)]
pub(super) fn job_name(name: &str, (): &()) -> garde::Result {
    const MAX_NAME_BYTES: usize = 64;
    let starts = name
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphanumeric());
    let holds = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if starts && holds && name.len() <= MAX_NAME_BYTES {
        return Ok(());
    }
    let reason =
        "must be 1 to 64 letters, digits, '-', '_' or '.', starting with a letter or digit";
    Err(garde::Error::new(format!("{} {reason}", quoted(name))))
}
