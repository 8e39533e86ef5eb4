//! Gradients as integers: when a step is computed again, and what that changes.

use super::*;

fn spec(shape: ImageShape) -> TrainerSpec {
    let model = ModelSpec {
        dropout: 0.2,
        ..small_cnn()
    };
    trainer_spec(model, shape, sgd(LEARNING_RATE), SEED)
}

/// Takes `steps` steps alone, from the first batch of the job on.
fn steps(trainer: &mut Trainer, steps: u64, data: &(DataSpec, Splits)) -> Vec<StepReport> {
    let owned = owned_shards(DATA_SHARDS, 1, Rank(0));
    let mut source = batches(&data.0, &data.1, &owned, 1);
    let step = |step| {
        let report = trainer.step(tag(step), owned.len(), GLOBAL_BATCH, &mut source);
        report.unwrap()
    };
    (0..steps).map(step).collect()
}

/// Makes a trainer believe that its gradients were so much larger than they were.
fn misjudge(trainer: &mut Trainer, factor: f32) {
    let mut state = trainer.snapshot().unwrap();
    let magnitudes = state
        .tensors
        .iter_mut()
        .find(|t| t.name == "state.magnitudes");
    for bytes in magnitudes.unwrap().bytes.chunks_exact_mut(4) {
        let magnitude = f32::from_le_bytes(bytes.try_into().unwrap());
        bytes.copy_from_slice(&(magnitude * factor).to_le_bytes());
    }
    trainer.restore(&state).unwrap();
}

#[test]
fn first_step_is_computed_twice_and_the_others_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    let mut trainer = Trainer::new(spec(data.1.train.shape())).unwrap();
    let runs: Vec<u32> = steps(&mut trainer, 5, &data)
        .iter()
        .map(|r| r.runs)
        .collect();
    assert_eq!(runs, [2, 1, 1, 1, 1]);
}

#[test]
fn step_whose_gradients_outgrow_their_scales_is_what_it_is_with_scales_that_fit() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    let mut fitting = Trainer::new(spec(data.1.train.shape())).unwrap();
    let first = steps(&mut fitting, 1, &data).remove(0);
    let start = Trainer::new(spec(data.1.train.shape())).unwrap().snapshot();

    // The state before the first step, with magnitudes as they are after it; a hundredth of them is far too small.
    let mut misjudged = Trainer::new(spec(data.1.train.shape())).unwrap();
    let known = fitting.snapshot().unwrap();
    let mut state = start.unwrap();
    for tensor in &mut state.tensors {
        if tensor.name == "state.magnitudes" {
            let known = known
                .tensors
                .iter()
                .find(|t| t.name == tensor.name)
                .unwrap();
            tensor.bytes.clone_from(&known.bytes);
        }
    }
    misjudged.restore(&state).unwrap();
    misjudge(&mut misjudged, 0.01);
    let again = steps(&mut misjudged, 1, &data).remove(0);
    assert_eq!((first, first.runs), (again, 2));
    assert_eq!(misjudged.snapshot().unwrap(), known);

    // With magnitudes that fit, once is enough, and nothing else differs.
    misjudged.restore(&state).unwrap();
    let once = steps(&mut misjudged, 1, &data).remove(0);
    assert_eq!(once, StepReport { runs: 1, ..first });
    assert_eq!(misjudged.snapshot().unwrap(), known);
}

#[test]
fn scales_of_the_step_before_change_a_gradient_by_rounding_only() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    let trained = |factor| {
        let mut trainer = Trainer::new(spec(data.1.train.shape())).unwrap();
        steps(&mut trainer, 1, &data);
        misjudge(&mut trainer, factor);
        steps(&mut trainer, 1, &data);
        trainer.snapshot().unwrap()
    };
    let (exact, coarse) = (trained(1.0), trained(64.0));
    let difference = largest_difference(&exact, &coarse);
    assert!(difference > 0.0 && difference < 1e-5, "{difference}");
}

#[test]
fn state_of_a_fast_job_is_none_of_a_bitwise_one() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    let [fast, bitwise] = BOTH.map(|reproducibility| {
        let spec = TrainerSpec {
            reproducibility,
            ..spec(data.1.train.shape())
        };
        Trainer::new(spec).unwrap()
    });
    let mut bitwise = bitwise;
    let error = bitwise.restore(&fast.snapshot().unwrap()).unwrap_err();
    assert!(
        error.to_string().contains("lacks state.magnitudes"),
        "{error}"
    );
}
