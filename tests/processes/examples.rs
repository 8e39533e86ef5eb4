//! The example specs reach what they promise.

use std::fs;
use std::path::{Path, PathBuf};

use harness::Bench;

/// The example `name` with absolute paths to its data, and its checkpoints in the folder of `bench`.
fn example(bench: &Bench, name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let data = root.join(".data/fashion-mnist");
    let images = data.join("train-images-idx3-ubyte.gz");
    assert!(
        images.exists(),
        "{} is not there: run `cargo xtask setup`",
        images.display()
    );
    let path = root.join("deploy/examples").join(name);
    let text = fs::read_to_string(&path).unwrap();
    let own = |text: String, from: &str, to: &Path| {
        assert!(
            text.contains(from),
            "{from} is not in {}: mend this test",
            path.display()
        );
        text.replace(from, &to.display().to_string())
    };
    let text = own(text, "../../.data/fashion-mnist", &data);
    let text = own(
        text,
        "../../.convoy/checkpoints",
        &bench.folder.path().join("checkpoints"),
    );
    let copy = bench.folder.path().join(name);
    fs::write(&copy, text).unwrap();
    copy
}

/// Runs the example on two workers and compares its last test accuracy, in percent.
fn reaches(name: &str, least_percent: f64) {
    let bench = Bench::new();
    let ended = bench.run(&example(&bench, name), 2, &[]).wait_long();
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    let accuracy = bench.summary()["test_accuracy"].as_f64().unwrap();
    assert!(
        100.0 * accuracy >= least_percent,
        "{name} reached {accuracy}, {least_percent} % was promised:\n{}",
        ended.text
    );
}

#[test]
#[ignore = "trains for minutes on two cores"]
fn long_the_short_example_reaches_91_percent() {
    reaches("fashion-mnist.toml", 91.0);
}

#[test]
#[ignore = "trains for half an hour on two cores"]
fn long_the_full_example_reaches_93_4_percent() {
    reaches("fashion-mnist-full.toml", 93.4);
}
