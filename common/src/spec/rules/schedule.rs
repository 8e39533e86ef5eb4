//! Which keys of `[schedule]` go together, and how they fit into the job.

use super::super::{JobSpec, ScheduleName};
use super::path;
use crate::document::Finding;

/// Every rule that the table breaks.
pub(super) fn check(spec: &JobSpec) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(warmup(spec));
    findings.extend(milestones(spec));
    let schedule = &spec.schedule;
    let (cosine, step) = (ScheduleName::Cosine, ScheduleName::Step);
    let factor = schedule.final_factor > 0.0;
    findings.extend(foreign(spec, "final_factor", factor, cosine));
    let milestones = !schedule.milestones.is_empty();
    findings.extend(foreign(spec, "milestones", milestones, step));
    findings.extend(foreign(spec, "gamma", schedule.gamma.is_some(), step));
    findings
}

fn warmup(spec: &JobSpec) -> Option<Finding> {
    let (warmup, epochs) = (spec.schedule.warmup_epochs, spec.training.epochs);
    let at = path("schedule.warmup_epochs");
    if warmup >= f64::from(epochs) {
        let reason = format!(
            "a warm-up of {warmup} epochs does not end within the {epochs} epochs of training.epochs"
        );
        return Some(Finding::value(at, reason).or_at(path("training.epochs")));
    }
    match spec.schedule.name {
        ScheduleName::OneCycle => (warmup > 0.0).then(|| {
            Finding::value(at, "\"one_cycle\" begins with a rise of its own")
                .note("leave the key away: the learning rate rises for 0.3 of the job")
        }),
        ScheduleName::Cosine | ScheduleName::Step | ScheduleName::Constant => None,
    }
}

fn milestones(spec: &JobSpec) -> Option<Finding> {
    match spec.schedule.name {
        ScheduleName::Step => {}
        ScheduleName::Cosine | ScheduleName::OneCycle | ScheduleName::Constant => return None,
    }
    let milestones = &spec.schedule.milestones;
    let at = || path("schedule.milestones");
    let (Some(first), Some(last)) = (milestones.first(), milestones.last()) else {
        return Some(
            Finding::value(at(), "\"step\" needs at least one milestone")
                .or_at(path("schedule.name"))
                .note("give the epochs after which the learning rate falls, [30, 60] for example"),
        );
    };
    if let Some(pair) = milestones.windows(2).find(|pair| pair[0] >= pair[1]) {
        let reason = format!("{} follows {}; they must ascend", pair[1], pair[0]);
        return Some(Finding::value(at(), reason));
    }
    let epochs = spec.training.epochs;
    if *last >= f64::from(epochs) {
        let reason = format!("{last} does not lie within the {epochs} epochs of training.epochs");
        return Some(Finding::value(at(), reason).or_at(path("training.epochs")));
    }
    let warmup = spec.schedule.warmup_epochs;
    (*first <= 0.0 || *first < warmup).then(|| {
        let reason = format!(
            "{first} must be above 0 and not before the end of schedule.warmup_epochs, {warmup}"
        );
        Finding::value(at(), reason)
    })
}

/// A key that is set although it is for the schedule `owner` alone.
fn foreign(spec: &JobSpec, key: &str, is_set: bool, owner: ScheduleName) -> Option<Finding> {
    let name = spec.schedule.name;
    (is_set && name != owner).then(|| {
        let reason = format!(
            "is for \"{}\", but schedule.name is \"{}\"",
            word(owner),
            word(name)
        );
        Finding::value(path(&format!("schedule.{key}")), reason)
            .note(format!("leave the key away, or use \"{}\"", word(owner)))
    })
}

fn word(name: ScheduleName) -> &'static str {
    match name {
        ScheduleName::Cosine => "cosine",
        ScheduleName::Step => "step",
        ScheduleName::OneCycle => "one_cycle",
        ScheduleName::Constant => "constant",
    }
}
