//! Who runs, and how ratios are taken.

use Reproducibility::{Bitwise, Fast};

use super::table::{over_fast, ratio, table};
use super::*;

fn outcome(contender: Contender, rounds: &[f64]) -> Outcome {
    let mut outcome = Outcome::new(contender);
    for seconds in rounds {
        let answer = Answer {
            seconds: vec![*seconds; 3],
            wrong: 0,
            loss: Some(2.0),
            parts: None,
        };
        outcome.add(vec![answer], false);
    }
    outcome
}

fn convoy(micro_batches: u32, reproducibility: Reproducibility) -> Contender {
    Contender::Convoy {
        micro_batches,
        reproducibility,
        dataset: false,
    }
}

fn pytorch(micro_batches: u32, channels_last: bool) -> Contender {
    Contender::Pytorch {
        micro_batches,
        channels_last,
        loader_workers: None,
    }
}

fn case(end_to_end: bool) -> Case {
    Case {
        workload: Workload::new(ModelArgument::SmallCnn, None, None),
        workers: 1,
        steps: 3,
        end_to_end,
        groups: Vec::new(),
        outcomes: vec![
            outcome(convoy(2, Fast), &[0.010, 0.030]),
            outcome(convoy(2, Bitwise), &[0.011, 0.036]),
            outcome(pytorch(1, false), &[0.005, 0.015]),
            outcome(pytorch(2, false), &[0.020, 0.050]),
            outcome(pytorch(2, true), &[0.016, 0.040]),
        ],
    }
}

#[test]
fn plain_pytorch_and_equal_micro_batches_run_in_both_formats() {
    let both = [Fast, Bitwise];
    let contenders = step_contenders(&both, &[2, 8], 2, true);
    let expected = [
        convoy(1, Fast),
        convoy(1, Bitwise),
        convoy(4, Fast),
        convoy(4, Bitwise),
        pytorch(1, false),
        pytorch(1, true),
        pytorch(4, false),
        pytorch(4, true),
    ];
    assert_eq!(contenders, expected);
    let alone = step_contenders(&[Bitwise], &[2], 1, false);
    assert_eq!(alone, [convoy(2, Bitwise)]);
    assert_eq!(end_to_end_contenders(&both, &[2], 1, true).len(), 2 + 3 * 2);
}

#[test]
fn ratio_is_to_the_fastest_variant_round_by_round() {
    let case = case(false);
    let equal = ratio(&case, &case.outcomes[0], Some(2)).unwrap();
    assert!((equal.min - 0.625).abs() < 1e-9 && (equal.max - 0.75).abs() < 1e-9);
    let overall = ratio(&case, &case.outcomes[0], None).unwrap();
    assert!((overall.median - 2.0).abs() < 1e-9);
    assert_eq!(ratio(&case, &case.outcomes[2], None), None);
}

#[test]
fn bitwise_is_compared_with_fast_at_equal_micro_batches() {
    let case = case(false);
    let cost = over_fast(&case, &case.outcomes[1]).unwrap();
    assert!((cost.min - 1.1).abs() < 1e-9 && (cost.max - 1.2).abs() < 1e-9);
    assert_eq!(over_fast(&case, &case.outcomes[0]), None);
}

#[test]
fn end_to_end_ratio_is_of_images_per_second() {
    let case = case(true);
    let overall = ratio(&case, &case.outcomes[0], None).unwrap();
    assert!((overall.median - 0.5).abs() < 1e-9);
    assert!(table(&case).contains("images/s"), "{}", table(&case));
}

#[test]
fn step_of_the_slowest_member_counts() {
    let answer = |seconds: [f64; 3]| Answer {
        seconds: seconds.to_vec(),
        wrong: 0,
        loss: Some(seconds[0]),
        parts: None,
    };
    let mut outcome = Outcome::new(convoy(1, Fast));
    outcome.add(
        vec![answer([1.0, 2.0, 9.0]), answer([3.0, 1.0, 1.0])],
        false,
    );
    assert_eq!(outcome.step_seconds, [[3.0, 2.0, 9.0]]);
    assert_eq!(outcome.round_seconds, [3.0]);
    assert_eq!(outcome.loss, 2.0);
}

#[test]
fn table_shows_each_contender() {
    let text = table(&case(false));
    for part in [
        "small_cnn, batch 256, 1 worker with one thread each",
        "0.69 [0.62 - 0.75]",
        "pytorch, channels_last",
        "20.00",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
}
