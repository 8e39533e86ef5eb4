//! `convoy bench` with real members and tiny settings: what it writes, not how fast it is.

use std::fs;

use harness::convoy;
use serde_json::Value;

/// Runs `convoy bench` in a folder of its own; what its `--json` file says.
fn bench(arguments: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("figures.json");
    let output = convoy()
        .arg("bench")
        .args(arguments)
        .args(["--rounds", "1", "--without-python", "--json"])
        .arg(&file)
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

/// A positive number for every round.
fn measured(seconds: &Value, rounds: usize) {
    let seconds = seconds.as_array().unwrap();
    assert_eq!(seconds.len(), rounds);
    assert!(seconds.iter().all(|time| time.as_f64().unwrap() > 0.0));
}

#[test]
fn allreduce_benchmark_measures_each_size_and_finds_no_wrong_sum() {
    let figures = bench(&["allreduce", "--sizes", "1KiB,64KiB", "--processes", "2"]);
    assert_eq!(figures["benchmark"], "allreduce");
    assert!(figures["machine"]["cores"].as_u64().unwrap() > 0);
    let rows = figures["rows"].as_array().unwrap();
    let sizes: Vec<_> = rows.iter().map(|row| row["bytes"].as_u64()).collect();
    assert_eq!(sizes, [Some(1_024), Some(65_536)]);
    for row in rows {
        assert_eq!(row["processes"], 2);
        let contenders = row["contenders"].as_array().unwrap();
        assert_eq!(contenders.len(), 1);
        assert_eq!(contenders[0]["name"], "convoy");
        assert_eq!(contenders[0]["wrong"], 0);
        measured(&contenders[0]["seconds"], 1);
    }
}

#[test]
fn a_python_that_is_none_is_told_before_anything_is_measured() {
    let output = convoy()
        .args(["bench", "allreduce", "--python", "/nowhere/python"])
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(
        words.contains("/nowhere/python is no Python with PyTorch 2.11.0"),
        "{words}"
    );
}
