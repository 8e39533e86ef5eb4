//! Asks the worker binary whether it can work here, before the first worker is started: a missing library shows up
//! once, with what to do about it, and not as the death of every worker.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use convoy_process::{Child, ExitDescription, SpawnError, Spawner};
use tokio::sync::{Mutex, oneshot};
use tokio::time::timeout;

use crate::log_file::LogFile;

/// What the worker is asked.
const CHECK_FLAG: &str = "--check";

/// Loading libtorch from a cold disk takes tens of seconds. The coordinator waits 120 s for a worker's session, and must hear
/// of a check that hangs before it gives up for a reason that explains less.
const CHECK_LIMIT: Duration = Duration::from_secs(60);

/// The version that the worker is built for.
const LIBTORCH_VERSION: &str = "2.11.0";

/// How the dynamic linker begins its complaint; the name of the library follows.
const LINKER_COMPLAINT: &str = "error while loading shared libraries: ";

/// The same where the libraries are there and lack something: they are of another version. The symbol follows.
const SYMBOL_COMPLAINT: &str = "undefined symbol: ";

/// What precedes it, and stands alone where the linker knows no more.
const LOOKUP_COMPLAINT: &str = "symbol lookup error: ";

/// How a worker begins its last words (`worker/src/main.rs`).
const LAST_WORDS: &str = "error: ";

/// Variables of a worker beyond the agent's own.
pub(crate) type Environment = BTreeMap<String, String>;

/// The worker binary can't work here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckFailure {
    #[error("cannot write {path}: {source}")]
    Log { path: PathBuf, source: io::Error },
    #[error("{0}; another worker binary is named with --worker-binary")]
    Spawn(#[from] SpawnError),
    #[error("{program} {CHECK_FLAG} gave no answer within {} s; its output is in {log}", CHECK_LIMIT.as_secs())]
    Silent { program: PathBuf, log: PathBuf },
    #[error("{reason}")]
    Failed {
        reason: String,
        last_lines: Vec<String>,
        log: PathBuf,
    },
}

/// Which environments the worker was found to work in.
#[derive(Debug, Default)]
pub(crate) struct Preflight {
    passed: Mutex<BTreeSet<Environment>>,
}

impl Preflight {
    /// Runs the check unless it was passed before with this environment. Callers that come at once share one check.
    /// Cancelling it ends the process. Its output goes to `worker-check.log` in `folder`.
    pub(crate) async fn ensure(
        &self,
        spawner: &Spawner,
        program: &Path,
        environment: &Environment,
        folder: &Path,
    ) -> Result<(), CheckFailure> {
        let mut passed = self.passed.lock().await;
        if !passed.contains(environment) {
            check(
                spawner,
                program,
                environment,
                folder.join("worker-check.log"),
            )
            .await?;
            passed.insert(environment.clone());
        }
        Ok(())
    }
}

async fn check(
    spawner: &Spawner,
    program: &Path,
    environment: &Environment,
    log_path: PathBuf,
) -> Result<(), CheckFailure> {
    let mut command = Command::new(program);
    command.arg(CHECK_FLAG).envs(environment);
    let mut open = |path: PathBuf| {
        let log = LogFile::open_at(path)?;
        command.stdout(log.writer()?).stderr(log.writer()?);
        io::Result::Ok(log)
    };
    let log = open(log_path.clone()).map_err(|source| CheckFailure::Log {
        path: log_path,
        source,
    })?;
    let (sender, ended) = oneshot::channel();
    let child = spawner.spawn(command, move |exit| {
        // Nobody listens any more when the check was cancelled.
        let _ = sender.send(exit.clone());
    })?;
    let _ended_with_this_call = EndOnDrop(child);
    let Ok(Ok(exit)) = timeout(CHECK_LIMIT, ended).await else {
        return Err(CheckFailure::Silent {
            program: program.to_owned(),
            log: log.path,
        });
    };
    let last_lines = log.last_lines();
    if exit.clean {
        tracing::info!(answer = last_lines.last(), "the worker binary is ready");
        return Ok(());
    }
    let reason = explain(program, &exit, &last_lines);
    Err(CheckFailure::Failed {
        reason,
        last_lines,
        log: log.path,
    })
}

struct EndOnDrop(Child);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.begin_stop(Duration::ZERO);
    }
}

/// One sentence that says what is wrong and, where that is known, what to do.
fn explain(program: &Path, exit: &ExitDescription, last_lines: &[String]) -> String {
    let after = |words: &str| {
        let mut lines = last_lines.iter();
        lines.find_map(|line| Some(line.split_once(words)?.1))
    };
    if let Some(complaint) = after(LINKER_COMPLAINT) {
        let library = complaint.split(':').next().unwrap_or(complaint);
        return missing_library(library, program);
    }
    if let Some(complaint) = after(SYMBOL_COMPLAINT).or_else(|| after(LOOKUP_COMPLAINT)) {
        return other_library(complaint, program);
    }
    let told = last_lines
        .iter()
        .find_map(|line| line.strip_prefix(LAST_WORDS));
    let last = || {
        last_lines
            .iter()
            .rev()
            .find(|line| !line.trim().is_empty())
            .map(String::as_str)
    };
    match told.or_else(last) {
        Some(words) => words.to_owned(),
        None => format!(
            "{} {CHECK_FLAG} ended with {exit} and said nothing",
            program.display()
        ),
    }
}

fn missing_library(library: &str, program: &Path) -> String {
    let of_libtorch = ["libtorch", "libc10", "libgomp"]
        .iter()
        .any(|start| library.starts_with(start));
    if of_libtorch {
        format!(
            "libtorch {LIBTORCH_VERSION} was not found ({library} is missing): run `cargo xtask quickstart`, \
             or name its folder in LD_LIBRARY_PATH"
        )
    } else {
        format!(
            "{} needs the library {library}, which is missing: install it, or name its folder in LD_LIBRARY_PATH",
            program.display()
        )
    }
}

/// The libraries that were loaded lack what `complaint` names.
fn other_library(complaint: &str, program: &Path) -> String {
    format!(
        "{} was built for libtorch {LIBTORCH_VERSION} and found libraries that lack {complaint}: run \
         `cargo xtask quickstart`, or name the folder of a libtorch {LIBTORCH_VERSION} in LD_LIBRARY_PATH and no other",
        program.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(output: &str, expected: &str) {
        let exit = ExitDescription {
            clean: false,
            how: "exit code 1".to_owned(),
        };
        let lines: Vec<_> = output.lines().map(str::to_owned).collect();
        assert_eq!(
            explain(Path::new("/bin/convoy-worker"), &exit, &lines),
            expected
        );
    }

    #[test]
    fn missing_libtorch_is_told_with_what_to_do() {
        check(
            "/bin/convoy-worker: error while loading shared libraries: libtorch_cpu.so: cannot open shared object file: \
             No such file or directory",
            "libtorch 2.11.0 was not found (libtorch_cpu.so is missing): run `cargo xtask quickstart`, \
             or name its folder in LD_LIBRARY_PATH",
        );
    }

    #[test]
    fn other_missing_library_is_named() {
        check(
            "convoy-worker: error while loading shared libraries: libstdc++.so.6: cannot open shared object file",
            "/bin/convoy-worker needs the library libstdc++.so.6, which is missing: install it, \
             or name its folder in LD_LIBRARY_PATH",
        );
    }

    #[test]
    fn libraries_of_another_version_are_told_with_what_they_lack() {
        let expected = |lacking: &str| {
            format!(
                "/bin/convoy-worker was built for libtorch 2.11.0 and found libraries that lack {lacking}: \
                 run `cargo xtask quickstart`, or name the folder of a libtorch 2.11.0 in LD_LIBRARY_PATH and no other"
            )
        };
        check(
            "/bin/convoy-worker: symbol lookup error: /bin/convoy-worker: undefined symbol: _ZN2at4sumE",
            &expected("_ZN2at4sumE"),
        );
        check(
            "/bin/convoy-worker: symbol lookup error: /lib/libtorch_cpu.so: no version information",
            &expected("/lib/libtorch_cpu.so: no version information"),
        );
    }

    #[test]
    fn words_of_the_worker_come_first() {
        check(
            "loading\nerror: libtorch 2.10.0 found, 2.11.0 needed\n\nnote",
            "libtorch 2.10.0 found, 2.11.0 needed",
        );
        check("a line\nthe last word\n \n", "the last word");
        check(
            "",
            "/bin/convoy-worker --check ended with exit code 1 and said nothing",
        );
    }
}
