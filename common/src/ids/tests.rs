use proptest::prelude::*;

use super::*;
use crate::property_tests::reproducible;

fn job(text: &str) -> Result<JobId, InvalidId> {
    JobId::try_from(text.to_owned())
}

#[test]
fn an_id_is_safe_as_a_file_name() {
    for text in ["a", "0", "fashion-mnist_2.1-17"] {
        assert_eq!(job(text).unwrap().as_str(), text);
    }
    for text in [
        "",
        ".",
        "..",
        "../etc",
        ".hidden",
        "-rf",
        "a/b",
        "a b",
        "a\0b",
        "a\n",
        "caf\u{e9}",
    ] {
        assert!(job(text).is_err(), "{text:?}");
    }
}

#[test]
fn the_longest_id_leaves_room_in_a_file_name() {
    assert!(job(&"a".repeat(MAX_ID_BYTES)).is_ok());
    assert!(job(&"a".repeat(MAX_ID_BYTES + 1)).is_err());
}

#[test]
fn a_refused_id_is_named_with_its_kind() {
    let message = NodeId::try_from("a/b".to_owned()).unwrap_err().to_string();
    assert_eq!(
        message,
        "node id \"a/b\" must be 1 to 128 letters, digits, '-', '_' or '.', starting with a letter or digit"
    );
}

#[test]
fn an_id_read_from_json_is_checked() {
    assert!(serde_json::from_str::<JobId>("\"fashion-1\"").is_ok());
    assert!(serde_json::from_str::<JobId>("\"../fashion\"").is_err());
}

#[test]
fn an_attempt_of_a_later_term_is_later_whatever_its_counter() {
    let attempt = |term, counter| Attempt { term, counter };
    assert!(attempt(2, 1) > attempt(1, 900));
    assert!(attempt(2, 2) > attempt(2, 1));
}

#[test]
fn positions_compare_by_generation_then_step_then_phase() {
    let position = |generation, step, phase| Position {
        generation: Generation(generation),
        step: StepIndex(step),
        phase,
    };
    let ascending = [
        position(1, 7, Phase::Train),
        position(1, 7, Phase::Evaluate),
        position(1, 7, Phase::Finish),
        position(1, 8, Phase::Train),
        position(2, 0, Phase::Train),
    ];
    assert!(ascending.is_sorted_by(|a, b| a < b));
}

#[test]
fn a_worker_is_shown_with_its_job_and_life() {
    let worker = WorkerRef {
        job: job("fashion-1").unwrap(),
        worker: WorkerId(3),
        incarnation: Incarnation(17),
    };
    assert_eq!(
        worker.to_string(),
        "worker 3 of job fashion-1 (incarnation 17)"
    );
}

proptest! {
    #![proptest_config(reproducible())]

    #[test]
    fn any_text_is_either_an_id_or_refused(text: String) {
        if let Ok(id) = job(&text) {
            prop_assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn numbers_travel_as_plain_numbers(number: u64) {
        let json = serde_json::to_string(&Generation(number)).unwrap();
        prop_assert_eq!(&json, &number.to_string());
        prop_assert_eq!(serde_json::from_str::<Generation>(&json).unwrap(), Generation(number));
    }
}
