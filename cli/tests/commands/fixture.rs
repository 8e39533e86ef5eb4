//! A folder with a job spec and a small dataset, and the binary run in it.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests; clippy's allowance reaches only test functions"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use convoy_data::synthetic::{write_cifar10_dataset, write_idx_dataset};
use tempfile::TempDir;

pub(crate) const SPEC: &str = r#"name = "shapes"

[model]
name = "small_cnn"
classes = 10

[data]
format = "idx"
train_images = "data/train-images-idx3-ubyte"
train_labels = "data/train-labels-idx1-ubyte"
test_images = "data/t10k-images-idx3-ubyte"
test_labels = "data/t10k-labels-idx1-ubyte"
mean = [0.25]
std = [0.25]

[training]
epochs = 2
global_batch = 64
data_shards = 2

[optimizer]
name = "sgd"
learning_rate = 0.1

[elastic]
max_workers = 2

[checkpoints]
folder = "checkpoints"
"#;

/// What a run of the binary gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(command: &mut Command) -> Self {
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self {
            code: status.code(),
            out: text(stdout),
            err: text(stderr),
        }
    }
}

/// A folder of its own for each test.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    /// With the spec above as `job.toml` and 320 training and 40 test images.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_idx_dataset(&folder.path().join("data"), 320, 40, 12, 10, 7).unwrap();
        fs::write(folder.path().join("job.toml"), SPEC).unwrap();
        Self { folder }
    }

    /// The same with CIFAR-10's files: the spec in `specs`, its folder of data beside it.
    pub(crate) fn of_cifar() -> Self {
        let place = Self::new();
        write_cifar10_dataset(&place.path().join("specs/cifar"), 320, 40, 10, 7).unwrap();
        let kept: Vec<&str> = SPEC
            .lines()
            .filter(|line| !line.contains("data/"))
            .collect();
        let spec = kept
            .join("\n")
            .replace("\"idx\"", "\"cifar10\"\nfolder = \"cifar\"")
            .replace("[0.25]", "[0.25, 0.25, 0.25]");
        fs::write(place.path().join("specs/job.toml"), spec).unwrap();
        place
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Replaces the one `old` in the spec.
    pub(crate) fn with(self, old: &str, new: &str) -> Self {
        let file = self.path().join("job.toml");
        let spec = fs::read_to_string(&file).unwrap();
        assert_eq!(spec.matches(old).count(), 1, "{old}");
        fs::write(file, spec.replace(old, new)).unwrap();
        self
    }

    /// Runs `convoy` in the folder.
    pub(crate) fn convoy(&self, arguments: &[&str]) -> Ran {
        Ran::of(&mut self.command(arguments))
    }

    /// `convoy` in the folder, not yet started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_convoy"));
        command
            .args(arguments)
            .current_dir(self.path())
            // What a user may have set must not show.
            .env_remove("CONVOY_LOG")
            .env_remove("CONVOY_COORDINATORS")
            .env_remove("CONVOY_CLUSTER_KEY")
            .env("RUST_BACKTRACE", "1");
        command
    }

    /// Runs it and expects this exit code and exactly this on standard error.
    #[track_caller]
    pub(crate) fn refuses(&self, arguments: &[&str], code: i32, err: &str) {
        let expected = Ran {
            code: Some(code),
            out: String::new(),
            err: format!("{err}\n"),
        };
        assert_eq!(self.convoy(arguments), expected);
    }

    /// The JSON in one of its files.
    pub(crate) fn json(&self, file: &str) -> serde_json::Value {
        serde_json::from_slice(&fs::read(self.path().join(file)).unwrap()).unwrap()
    }

    /// Names in the folder, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}
