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

/// Runs a spec on two workers; its last test accuracy, in percent, and what it printed.
fn accuracy(bench: &Bench, spec: &Path) -> (f64, String) {
    let ended = bench.run(spec, 2, &[]).wait_long();
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    let accuracy = bench.summary()["test_accuracy"].as_f64().unwrap();
    (100.0 * accuracy, ended.text)
}

fn reaches(name: &str, least_percent: f64) {
    let bench = Bench::new();
    let (accuracy, text) = accuracy(&bench, &example(&bench, name));
    assert!(
        accuracy >= least_percent,
        "{name} reached {accuracy} %, {least_percent} % was promised:\n{text}"
    );
}

/// The mean test accuracy of the short example over some seeds, in percent.
fn mean_accuracy(reproducibility: &str) -> f64 {
    let of_seed = |seed: u32| {
        let bench = Bench::new();
        let spec = example(&bench, "fashion-mnist.toml");
        let text = fs::read_to_string(&spec).unwrap();
        let line = "seed = 1\n";
        assert!(
            text.contains(line),
            "{line:?} is not in the example: mend this test"
        );
        let by = format!("seed = {seed}\nreproducibility = \"{reproducibility}\"\n");
        fs::write(&spec, text.replace(line, &by)).unwrap();
        let (accuracy, _) = accuracy(&bench, &spec);
        println!("{reproducibility}, seed {seed}: {accuracy} %");
        accuracy
    };
    SEEDS.map(of_seed).iter().sum::<f64>() / SEEDS.len() as f64
}

const SEEDS: [u32; 3] = [1, 2, 3];

#[test]
#[ignore = "trains for minutes on two cores"]
fn long_the_short_example_reaches_91_percent() {
    reaches("fashion-mnist.toml", 91.0);
}

#[test]
#[ignore = "trains six times, a minute each on two cores"]
fn long_gradients_as_integers_reach_the_accuracy_of_floats() {
    let (bitwise, fast) = (mean_accuracy("bitwise"), mean_accuracy("fast"));
    assert!(
        (bitwise - fast).abs() < 0.2,
        "bitwise reached {bitwise} % in the mean, fast {fast} %"
    );
}

#[test]
#[ignore = "trains for half an hour on two cores"]
fn long_the_full_example_reaches_93_4_percent() {
    reaches("fashion-mnist-full.toml", 93.4);
}
