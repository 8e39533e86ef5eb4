//! Optimizers, schedules and what the loss is told.

use super::*;
use crate::schedule::{Curve, Schedule};

/// The valid spec with other tables for optimizer and schedule.
fn tables(optimizer: &str, schedule: &str) -> String {
    let old = "\
name = \"sgd\"
learning_rate = 0.1
momentum = 0.9
nesterov = true
weight_decay = 5e-4

[schedule]
warmup_epochs = 0.5
";
    with(old, &format!("{optimizer}\n[schedule]\n{schedule}\n"))
}

fn optimizer(lines: &str) -> Vec<String> {
    problems(&tables(&format!("learning_rate = 0.1\n{lines}"), ""))
}

fn schedule(lines: &str) -> Vec<String> {
    problems(&tables("name = \"sgd\"\nlearning_rate = 0.1", lines))
}

const ADAMW: &str = "\
name = \"adamw\"
learning_rate = 1e-3
weight_decay = 0.05
decay_norm_and_bias = false
betas = [0.9, 0.95]
clip_norm = 1
ema_decay = 0.999";

#[test]
fn every_optimizer_is_read_with_its_defaults() {
    let spec = parse(&tables(ADAMW, "name = \"constant\"")).unwrap();
    assert_eq!(spec.optimizer.name, OptimizerName::AdamW);
    assert_eq!(spec.optimizer.betas(), [0.9, 0.95]);
    assert_eq!(spec.optimizer.eps(), 1e-8);
    assert!(!spec.optimizer.decay_norm_and_bias);
    assert_eq!(spec.optimizer.clip_norm, Some(1.0));
    assert_eq!(
        JobSpec::from_json(&spec.to_json().unwrap()).unwrap(),
        spec,
        "as it travels"
    );

    let lars = "name = \"lars\"\nlearning_rate = 2.0\nmomentum = 0.9";
    let spec = parse(&tables(lars, "")).unwrap();
    assert_eq!(spec.optimizer.trust_coefficient(), 0.001);
    assert_eq!(spec.optimizer.betas(), [0.9, 0.999]);
    assert!(spec.optimizer.decay_norm_and_bias);
    assert_eq!(
        (spec.optimizer.ema_decay, spec.optimizer.clip_norm),
        (None, None)
    );
}

#[test]
fn the_wire_form_leaves_out_what_is_not_set() {
    let json = valid().to_json().unwrap();
    for key in [
        "betas",
        "eps",
        "ema_decay",
        "milestones",
        "gamma",
        "class_weights",
    ] {
        assert!(!json.contains(key), "{key} in {json}");
    }
}

#[test]
fn keys_of_another_optimizer_are_refused() {
    assert_eq!(
        optimizer("name = \"adamw\"\nmomentum = 0.9"),
        ["27:12 optimizer.momentum: \"adamw\" has no momentum"]
    );
    assert_eq!(
        optimizer("name = \"sgd\"\nbetas = [0.9, 0.99]\neps = 1e-6\ntrust_coefficient = 0.01"),
        [
            "27:9 optimizer.betas: is for \"adamw\", but optimizer.name is \"sgd\"",
            "28:7 optimizer.eps: is for \"adamw\", but optimizer.name is \"sgd\"",
            "29:21 optimizer.trust_coefficient: is for \"lars\", but optimizer.name is \"sgd\"",
        ]
    );
    assert_eq!(
        optimizer("name = \"lars\"\nmomentum = 0.9\nnesterov = true"),
        ["28:12 optimizer.nesterov: is for \"sgd\", but optimizer.name is \"lars\""]
    );
    assert_eq!(
        optimizer("name = \"adamw\"\nnesterov = true"),
        ["27:12 optimizer.nesterov: needs optimizer.momentum above 0, is 0"]
    );
}

#[test]
fn values_of_an_optimizer_have_ranges() {
    assert_eq!(
        optimizer("name = \"adamw\"\nbetas = [0.9, 1.0]"),
        ["27:15 optimizer.betas[1]: must be from 0.0 to 0.999999, is 1.0"]
    );
    assert_eq!(
        optimizer("name = \"adamw\"\nbetas = [0.9]"),
        ["27:9 optimizer.betas: must have 2 values, has 1"]
    );
    assert_eq!(
        optimizer("name = \"sgd\"\nclip_norm = 0\nema_decay = 1.0"),
        [
            "27:13 optimizer.clip_norm: must be from 1e-9 to 1000000000.0, is 0",
            "28:13 optimizer.ema_decay: must be from 0.0 to 0.9999999, is 1.0",
        ]
    );
}

#[test]
fn values_from_json_have_the_same_ranges() {
    let mut spec = valid();
    spec.optimizer = OptimizerSpec::new(OptimizerName::AdamW, 0.1);
    spec.optimizer.betas = Some([0.5, 2.0]);
    let errors = spec.check().unwrap_err();
    assert_eq!(errors.problems()[0].path, "optimizer.betas[1]");
}

#[test]
fn the_learning_rate_is_scaled_to_the_batch_when_told_for_which_it_is() {
    let spec = parse(&tables(
        "name = \"sgd\"\nlearning_rate = 0.1\nbase_batch = 256",
        "",
    ))
    .unwrap();
    assert_eq!(spec.peak_learning_rate(), 0.05, "a batch of 128");
    assert_eq!(valid().peak_learning_rate(), 0.1);
}

#[test]
fn each_schedule_becomes_steps() {
    let of = |lines: &str| {
        let source = tables("name = \"sgd\"\nlearning_rate = 0.1", lines);
        Schedule::of_job(&parse(&source).unwrap(), 10)
    };
    let schedule = of("warmup_epochs = 0.5");
    assert_eq!((schedule.peak, schedule.warmup_steps), (0.1, 5));
    let cosine = Curve::Cosine {
        total_steps: 50,
        final_factor: 0.0,
    };
    assert_eq!(schedule.curve, cosine);
    let step = Curve::Step {
        milestones: vec![20, 35],
        gamma: 0.1,
    };
    assert_eq!(of("name = \"step\"\nmilestones = [2, 3.5]").curve, step);
    assert_eq!(
        of("name = \"one_cycle\"").curve,
        Curve::OneCycle { total_steps: 50 }
    );
    assert_eq!(of("name = \"constant\"").curve, Curve::Constant);
}

#[test]
fn milestones_ascend_within_the_job_and_after_the_warm_up() {
    assert_eq!(
        schedule("name = \"step\""),
        ["28:8 schedule.name: \"step\" needs at least one milestone"]
    );
    assert_eq!(
        schedule("name = \"step\"\nmilestones = [3, 2]"),
        ["29:14 schedule.milestones: 2 follows 3; they must ascend"]
    );
    assert_eq!(
        schedule("name = \"step\"\nmilestones = [3, 5]"),
        ["29:14 schedule.milestones: 5 does not lie within the 5 epochs of training.epochs"]
    );
    assert_eq!(
        schedule("name = \"step\"\nmilestones = [0.5, 2]\nwarmup_epochs = 1"),
        [
            "29:14 schedule.milestones: 0.5 must be above 0 and not before the end of schedule.warmup_epochs, 1"
        ]
    );
}

#[test]
fn keys_of_another_schedule_are_refused() {
    assert_eq!(
        schedule("milestones = [3]\ngamma = 0.5"),
        [
            "28:14 schedule.milestones: is for \"step\", but schedule.name is \"cosine\"",
            "29:9 schedule.gamma: is for \"step\", but schedule.name is \"cosine\"",
        ]
    );
    assert_eq!(
        schedule("name = \"constant\"\nfinal_factor = 0.1"),
        ["29:16 schedule.final_factor: is for \"cosine\", but schedule.name is \"constant\""]
    );
    assert_eq!(
        schedule("name = \"one_cycle\"\nwarmup_epochs = 1"),
        ["29:17 schedule.warmup_epochs: \"one_cycle\" begins with a rise of its own"]
    );
}

#[test]
fn class_weights_are_one_per_class_and_positive() {
    let weights = |values: &str| {
        with(
            "label_smoothing = 0.1",
            &format!("class_weights = [{values}]"),
        )
    };
    let spec = parse(&weights("1, 1, 1, 1, 1, 1, 1, 1, 1, 2.5")).unwrap();
    assert_eq!(spec.training.class_weights[9], 2.5);
    check(
        &weights("1, 2"),
        &["22:17 training.class_weights: 2 values, but model.classes is 10"],
    );
    check(
        &weights("1, 1, 1, 1, 1, 1, 1, 1, 1, 0"),
        &["22:45 training.class_weights[9]: must be from 1e-6 to 1000000.0, is 0"],
    );
}
