//! Starts `convoy` with real agents and workers for tests, and looks after what they leave behind.
#![expect(clippy::unwrap_used, reason = "a test that can't go on should panic")]

pub mod coordinators;
mod daemon;
mod hosted;
pub mod linearizability;
mod network;
pub mod random;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub use daemon::Daemon;
pub use hosted::{AGENTS, COORDINATORS, HostedCluster};
pub use network::{Host, Network};

/// Only a hang takes so long.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// The same for a run that trains an example to its end.
const LONG_PATIENCE: Duration = Duration::from_secs(3 * 3600);

/// A variable that every process of a run inherits.
const MARK: &str = "CONVOY_TEST_RUN";

/// A folder with a small dataset and a spec for it.
pub struct Bench {
    /// Holds everything of the test.
    pub folder: TempDir,
}

impl Bench {
    /// 240 training and 40 test images of 4 classes, 12 x 12 pixels.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        dataset(&folder.path().join("data"), IMAGES);
        Self { folder }
    }

    /// Writes the spec after `change`, and returns its path.
    #[must_use]
    pub fn spec(&self, epochs: u32, change: impl Fn(String) -> String) -> PathBuf {
        let text = spec(epochs);
        let path = self.folder.path().join("tiny.toml");
        fs::write(&path, change(text)).unwrap();
        path
    }

    /// Starts `convoy run` on `spec`.
    #[must_use]
    pub fn run(&self, spec: &Path, workers: u32, more: &[&str]) -> Run {
        self.run_by(convoy(), spec, workers, more)
    }

    /// The same with a `convoy` of the test's own: other binaries, or a command that ends with its path.
    #[must_use]
    pub fn run_by(&self, mut command: Command, spec: &Path, workers: u32, more: &[&str]) -> Run {
        command
            .arg("run")
            .arg(spec)
            .args(["--plain", "--workers"])
            .arg(workers.to_string());
        command
            .arg("--work-dir")
            .arg(self.folder.path().join("work"));
        command.arg("--summary").arg(self.summary_path()).args(more);
        Run::start(command, self.folder.path())
    }

    fn summary_path(&self) -> PathBuf {
        self.folder.path().join("summary.json")
    }

    /// What `--summary` wrote.
    #[must_use]
    pub fn summary(&self) -> serde_json::Value {
        serde_json::from_slice(&fs::read(self.summary_path()).unwrap()).unwrap()
    }
}

impl Default for Bench {
    fn default() -> Self {
        Self::new()
    }
}

/// Training images of the usual dataset.
pub const IMAGES: u32 = 240;

/// Writes so many training and 40 test images of 4 classes, 12 x 12 pixels.
///
/// # Panics
/// If they can't be written.
pub fn dataset(folder: &Path, images: u32) {
    convoy_data::synthetic::write_idx_dataset(folder, images, 40, 12, 4, 7).unwrap();
}

/// A spec for it, with the data in `data` and checkpoints in `checkpoints`.
#[must_use]
pub fn spec(epochs: u32) -> String {
    format!(
        "name = \"tiny\"\n[model]\nname = \"small_cnn\"\nclasses = 4\n[data]\nformat = \"idx\"\n\
         train_images = \"data/train-images-idx3-ubyte\"\ntrain_labels = \"data/train-labels-idx1-ubyte\"\n\
         test_images = \"data/t10k-images-idx3-ubyte\"\ntest_labels = \"data/t10k-labels-idx1-ubyte\"\nmean = [0.25]\nstd = [0.25]\n\
         [training]\nepochs = {epochs}\nglobal_batch = 24\ndata_shards = 2\n[optimizer]\nname = \"sgd\"\nlearning_rate = 0.05\n\
         momentum = 0.9\nnesterov = true\n[elastic]\nmin_workers = 1\nmax_workers = 2\n[checkpoints]\nfolder = \"checkpoints\"\n"
    )
}

/// The command `convoy`, as it was built beside this test or where `CONVOY_BIN_DIR` says.
#[must_use]
pub fn convoy() -> Command {
    Command::new(binary("convoy"))
}

/// The path of one of our programs.
///
/// # Panics
/// If it was not built.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let beside = || {
        let test = std::env::current_exe().unwrap();
        test.parent().unwrap().parent().unwrap().to_owned()
    };
    let folder = std::env::var_os("CONVOY_BIN_DIR").map_or_else(beside, PathBuf::from);
    let program = folder.join(name);
    assert!(
        program.exists(),
        "{} is not there: run `cargo xtask test`",
        program.display()
    );
    program
}

/// A running `convoy`; dropped, it is killed.
pub struct Run {
    child: Child,
    mark: String,
    folder: PathBuf,
    files_before: BTreeSet<PathBuf>,
    lines: Receiver<String>,
    seen: Vec<String>,
}

/// How it ended.
pub struct Ended {
    /// Exit code; none after a signal.
    pub code: Option<i32>,
    /// Everything that it printed.
    pub text: String,
    /// Files in the folder of the run that were not there when it began, as paths from it.
    pub new_files: BTreeSet<PathBuf>,
}

impl Run {
    /// Starts `command`; all processes below it are known by `folder`, which no other run may have.
    #[must_use]
    pub fn start(mut command: Command, folder: &Path) -> Self {
        let mark = folder.display().to_string();
        let files_before = files_below(folder);
        command
            .env(MARK, &mark)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let forward = sender.clone();
        std::thread::spawn(move || {
            BufReader::new(out)
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| forward.send(line))
        });
        std::thread::spawn(move || {
            BufReader::new(err)
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        Self {
            child,
            mark,
            folder: folder.to_owned(),
            files_before,
            lines,
            seen: Vec::new(),
        }
    }

    /// Process id of `convoy` itself.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line that begins like this.
    pub fn wait_for_line(&mut self, beginning: &str) {
        let began = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(began.elapsed());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| {
                panic!("no line begins with {beginning:?} in {:#?}", self.seen)
            });
            self.seen.push(line);
            if self.seen[self.seen.len() - 1].starts_with(beginning) {
                return;
            }
        }
    }

    /// The processes of this run whose program has this name.
    #[must_use]
    pub fn processes(&self, program: &str) -> Vec<u32> {
        let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter(|pid| self.is_ours(*pid, program)).collect()
    }

    fn is_ours(&self, pid: u32, program: &str) -> bool {
        let read = |what: &str| fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
        let variable = format!("{MARK}={}", self.mark).into_bytes();
        let marked = read("environ")
            .split(|byte| *byte == 0)
            .any(|entry| entry == variable);
        let name = read("cmdline");
        let name =
            String::from_utf8_lossy(name.split(|byte| *byte == 0).next().unwrap_or_default())
                .into_owned();
        marked
            && Path::new(&name)
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(program))
    }

    /// Waits for the end of `convoy`, and then for that of every process it had started.
    pub fn wait(self) -> Ended {
        self.wait_within(PATIENCE)
    }

    /// The same for a run that takes hours.
    pub fn wait_long(self) -> Ended {
        self.wait_within(LONG_PATIENCE)
    }

    fn wait_within(mut self, limit: Duration) -> Ended {
        within(limit, "convoy ends", || {
            self.child.try_wait().unwrap().is_some()
        });
        let code = self.child.wait().unwrap().code();
        eventually("no process is left", || self.processes("convoy").is_empty());
        self.seen.extend(self.lines.iter());
        Ended {
            code,
            text: self.seen.join("\n"),
            new_files: files_below(&self.folder)
                .difference(&self.files_before)
                .cloned()
                .collect(),
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // It may have ended, as it should.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All files below `folder`, as paths from it.
fn files_below(folder: &Path) -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    let mut open = vec![folder.to_owned()];
    while let Some(inner) = open.pop() {
        for entry in fs::read_dir(inner).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else {
                files.insert(entry.path().strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    files
}

/// Sends a signal by name.
pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill")
        .args(["-s", name, &pid.to_string()])
        .status()
        .unwrap();
    assert!(sent.success(), "kill -s {name} {pid}");
}

/// Waits until `condition` holds.
///
/// # Panics
/// If it doesn't within [`PATIENCE`].
pub fn eventually(what: &str, condition: impl FnMut() -> bool) {
    within(PATIENCE, what, condition);
}

fn within(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < limit, "waited for this in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
