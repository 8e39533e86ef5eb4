//! Which keys of `[optimizer]` go together.

use super::super::optimizer::MAX_BETA;
use super::super::{OptimizerName, OptimizerSpec};
use super::path;
use crate::document::Finding;

/// Every rule that the table breaks.
pub(super) fn check(spec: &OptimizerSpec) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(betas(spec));
    findings.extend(momentum(spec));
    findings.extend(nesterov(spec));
    let (sgd, adamw, lars) = (
        OptimizerName::Sgd,
        OptimizerName::AdamW,
        OptimizerName::Lars,
    );
    findings.extend(foreign(spec, "betas", spec.betas.is_some(), adamw));
    findings.extend(foreign(spec, "eps", spec.eps.is_some(), adamw));
    let trust = spec.trust_coefficient.is_some();
    findings.extend(foreign(spec, "trust_coefficient", trust, lars));
    let looks_ahead = spec.nesterov && spec.momentum > 0.0;
    findings.extend(foreign(spec, "nesterov", looks_ahead, sgd));
    findings
}

/// Here, since garde names a pair but not which of the two is wrong.
fn betas(spec: &OptimizerSpec) -> Option<Finding> {
    let wrong = |(_, beta): &(usize, &f64)| !(0.0..=MAX_BETA).contains(*beta);
    let (index, beta) = spec.betas.iter().flatten().enumerate().find(wrong)?;
    let reason = format!("must be from 0 to {MAX_BETA}, is {beta}");
    Some(Finding::value(
        path(&format!("optimizer.betas[{index}]")),
        reason,
    ))
}

fn momentum(spec: &OptimizerSpec) -> Option<Finding> {
    let has_one = match spec.name {
        OptimizerName::Sgd | OptimizerName::Lars => true,
        OptimizerName::AdamW => false,
    };
    (spec.momentum > 0.0 && !has_one).then(|| {
        Finding::value(path("optimizer.momentum"), "\"adamw\" has no momentum")
            .note("leave the key away; what adamw keeps of earlier gradients is optimizer.betas")
    })
}

fn nesterov(spec: &OptimizerSpec) -> Option<Finding> {
    (spec.nesterov && spec.momentum <= 0.0).then(|| {
        let reason = format!("needs optimizer.momentum above 0, is {}", spec.momentum);
        let note = match spec.name {
            OptimizerName::Sgd => "set optimizer.momentum, 0.9 for example, or nesterov = false",
            OptimizerName::AdamW | OptimizerName::Lars => {
                "leave the key away: it is for \"sgd\" with momentum"
            }
        };
        Finding::value(path("optimizer.nesterov"), reason).note(note)
    })
}

/// A key that is set although it is for the optimizer `owner` alone.
fn foreign(spec: &OptimizerSpec, key: &str, is_set: bool, owner: OptimizerName) -> Option<Finding> {
    (is_set && spec.name != owner).then(|| {
        let reason = format!(
            "is for \"{}\", but optimizer.name is \"{}\"",
            word(owner),
            word(spec.name)
        );
        Finding::value(path(&format!("optimizer.{key}")), reason)
            .note(format!("leave the key away, or use \"{}\"", word(owner)))
    })
}

fn word(name: OptimizerName) -> &'static str {
    match name {
        OptimizerName::Sgd => "sgd",
        OptimizerName::AdamW => "adamw",
        OptimizerName::Lars => "lars",
    }
}
