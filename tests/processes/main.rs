//! Tests on real processes: `convoy run` with its agent and its workers.
#![expect(clippy::unwrap_used, reason = "a test that can't go on should panic")]

mod bad_input;
mod benchmarks;
mod examples;
mod machine;
mod training;
mod weights;

use harness::Ended;

/// Far more than any test lets pass before it ends the run.
const ENDLESS: u32 = 100_000;

fn unchanged(spec: String) -> String {
    spec
}

/// A run that must be refused with these words.
fn refused(ended: &Ended, words: &[&str]) {
    assert!(!matches!(ended.code, Some(0) | None), "{}", ended.text);
    assert!(!ended.text.contains("panicked"), "{}", ended.text);
    for word in words {
        assert!(
            ended.text.contains(word),
            "{word:?} is not in:\n{}",
            ended.text
        );
    }
}
