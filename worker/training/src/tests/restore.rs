//! Snapshots and the way back, for every optimizer.

use super::*;
use crate::{HostTensor, RestoreError};

fn optimizers() -> Vec<OptimizerSpec> {
    let sgd = OptimizerSpec {
        momentum: 0.9,
        weight_decay: 5e-4,
        ..OptimizerSpec::new(OptimizerName::Sgd, 0.05)
    };
    let adamw = OptimizerSpec {
        weight_decay: 0.05,
        decay_norm_and_bias: false,
        clip_norm: Some(0.5),
        ..OptimizerSpec::new(OptimizerName::AdamW, 1e-3)
    };
    let lars = OptimizerSpec {
        momentum: 0.9,
        weight_decay: 1e-4,
        decay_norm_and_bias: false,
        trust_coefficient: Some(0.01),
        ..OptimizerSpec::new(OptimizerName::Lars, 1.0)
    };
    let averaged = OptimizerSpec {
        ema_decay: Some(0.9),
        ..adamw.clone()
    };
    vec![sgd, adamw, lars, averaged]
}

fn steps(trainer: &mut Trainer, steps: std::ops::Range<u64>, source: &mut Pipeline) {
    for step in steps {
        let report = trainer
            .step(tag(step), DATA_SHARDS as usize, GLOBAL_BATCH, source)
            .unwrap();
        assert!(!report.skipped);
    }
}

#[test]
fn a_restored_trainer_goes_on_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let (spec, splits) = data(folder.path());
    let owned = owned_shards(DATA_SHARDS, 1, Rank(0));
    for optimizer in optimizers() {
        let mut undisturbed = trainer_with(&splits, optimizer.clone(), SEED);
        let mut source = batches(&spec, &splits, &owned, 2);
        steps(&mut undisturbed, 0..3, &mut source);
        let saved = undisturbed.snapshot().unwrap();
        let mut restored = trainer_with(&splits, optimizer.clone(), SEED + 1);
        assert_ne!(restored.snapshot().unwrap(), saved);
        restored.restore(&saved).unwrap();
        assert_eq!(restored.snapshot().unwrap(), saved, "{optimizer:?}");

        steps(&mut undisturbed, 3..6, &mut source);
        let mut source = batches(&spec, &splits, &owned, 2);
        for _ in 0..3 * DATA_SHARDS {
            let batch = source.next_batch().unwrap();
            BatchSource::recycle(&mut source, batch);
        }
        steps(&mut restored, 3..6, &mut source);
        let (one, other) = (
            undisturbed.snapshot().unwrap(),
            restored.snapshot().unwrap(),
        );
        assert_eq!(one.state_sha256(), other.state_sha256(), "{optimizer:?}");
        assert_ne!(one.weights_sha256(), saved.weights_sha256());
    }
}

fn tensor<'s>(snapshot: &'s Snapshot, name: &str) -> &'s HostTensor {
    snapshot.tensors.iter().find(|t| t.name == name).unwrap()
}

#[test]
fn a_snapshot_of_another_job_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (_, splits) = data(folder.path());
    let mut trainer = trainer(&splits);
    let before = trainer.snapshot().unwrap();
    let mut refused = |change: fn(&mut Vec<HostTensor>)| {
        let mut snapshot = trainer_with(&splits, optimizers()[0].clone(), SEED + 1)
            .snapshot()
            .unwrap();
        change(&mut snapshot.tensors);
        let TrainingError::Restore(error) = trainer.restore(&snapshot).unwrap_err() else {
            panic!("another error than a refusal");
        };
        assert_eq!(trainer.snapshot().unwrap(), before);
        error
    };
    let name = || "optimizer.momentum.fc2.bias".to_owned();
    assert_eq!(
        refused(|tensors| tensors.retain(|t| t.name != "optimizer.momentum.fc2.bias")),
        RestoreError::Missing { name: name() }
    );
    assert_eq!(
        refused(|tensors| tensors.push(tensors[0].clone())),
        RestoreError::Twice {
            name: "model.conv1.weight".to_owned()
        }
    );
    assert_eq!(
        refused(|tensors| {
            let mut more = tensors[0].clone();
            more.name = "optimizer.exp_avg.conv1.weight".to_owned();
            tensors.push(more);
        }),
        RestoreError::Unknown {
            name: "optimizer.exp_avg.conv1.weight".to_owned()
        }
    );
    assert_eq!(
        refused(|tensors| {
            let bias = tensors.iter_mut().find(|t| t.name == "model.fc2.bias");
            bias.unwrap().shape = vec![2, 2];
        })
        .to_string(),
        "model.fc2.bias in the state to restore is F32 [2, 2] in 16 bytes, this job has F32 [4] in 16 bytes"
    );
    assert_eq!(
        refused(|tensors| {
            let updates = tensors.iter_mut().find(|t| t.name == "state.updates");
            updates.unwrap().bytes = 9u64.to_le_bytes().to_vec();
        }),
        RestoreError::Counter {
            name: "model.bn1.num_batches_tracked".to_owned(),
            found: 0,
            updates: 9
        }
    );
}

#[test]
fn evaluation_and_weights_are_those_of_the_average() {
    let folder = tempfile::tempdir().unwrap();
    let (spec, splits) = data(folder.path());
    let owned = owned_shards(DATA_SHARDS, 1, Rank(0));
    let sgd = OptimizerSpec::new(OptimizerName::Sgd, 0.05);
    let averaged = OptimizerSpec {
        ema_decay: Some(0.9),
        ..sgd.clone()
    };
    let train = |optimizer: &OptimizerSpec| {
        let mut trainer = trainer_with(&splits, optimizer.clone(), SEED);
        steps(&mut trainer, 0..2, &mut batches(&spec, &splits, &owned, 1));
        trainer
    };
    let (plain, mut kept) = (train(&sgd), train(&averaged));
    let (trained, average) = (plain.snapshot().unwrap(), kept.snapshot().unwrap());
    for name in ["conv1.weight", "bn1.running_var"] {
        assert_eq!(
            tensor(&average, &format!("trained.{name}")).bytes,
            tensor(&trained, &format!("model.{name}")).bytes,
            "the average changes nothing of training"
        );
    }
    assert_ne!(average.weights_sha256(), trained.weights_sha256());

    // A trainer without average that holds the average's weights evaluates to the same numbers.
    let mut holder = trainer_with(&splits, sgd, SEED);
    let mut weights = average.clone();
    weights.tensors.retain(|t| !t.name.starts_with("trained."));
    holder.restore(&weights).unwrap();
    let evaluate = |trainer: &mut Trainer| {
        let transform = Transform::evaluation(splits.test.shape(), &spec.mean, &spec.std);
        let requests: Vec<_> =
            evaluation_requests(u64::from(TEST_SAMPLES), DATA_SHARDS, &owned, 16).collect();
        let count = requests.len();
        let mut source = Pipeline::start(
            Arc::clone(&splits.test),
            transform.unwrap().in_layout(Layout::Nhwc),
            SampleOrdering::Sequential,
            requests.into_iter(),
            1,
            4,
        )
        .unwrap();
        let tag = ReduceTag {
            phase: Phase::Evaluate,
            ..tag(2)
        };
        trainer.evaluate(tag, count, &mut source).unwrap()
    };
    let counts = evaluate(&mut kept);
    assert_eq!(counts, evaluate(&mut holder));
    assert_eq!(
        kept.snapshot().unwrap(),
        average,
        "evaluation leaves everything where it was"
    );
}

#[test]
fn the_average_follows_its_formula() {
    let folder = tempfile::tempdir().unwrap();
    let (spec, splits) = data(folder.path());
    let owned = owned_shards(DATA_SHARDS, 1, Rank(0));
    let averaged = OptimizerSpec {
        ema_decay: Some(0.15),
        ..OptimizerSpec::new(OptimizerName::Sgd, 0.05)
    };
    let mut trainer = trainer_with(&splits, averaged, SEED);
    let mut source = batches(&spec, &splits, &owned, 1);
    let values = |trainer: &Trainer, what: &str| -> Vec<f32> {
        let snapshot = trainer.snapshot().unwrap();
        let bytes = &tensor(&snapshot, &format!("{what}.fc2.weight")).bytes;
        bytes
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect()
    };
    let mut expected = values(&trainer, "model");
    // (1 + n) / (10 + n) is 0.1, 2/11, 3/12, ...: the decay of 0.15 is less from the second on.
    for (step, kept) in [0.1, 0.15, 0.15].into_iter().enumerate() {
        steps(&mut trainer, step as u64..step as u64 + 1, &mut source);
        for (average, value) in expected.iter_mut().zip(values(&trainer, "trained")) {
            *average = (f64::from(*average) * kept + f64::from(value) * (1.0 - kept)) as f32;
        }
        for (found, expected) in values(&trainer, "model").iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }
}
