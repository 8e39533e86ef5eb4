//! A process that runs until it is told not to, with its output in a file.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Lines of a log that say enough about a failed test.
const LAST_LINES: usize = 40;

/// A running process; dropped, it is killed.
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts `command`; what it prints goes to `log`, after what is there.
    ///
    /// # Panics
    /// If it can't be started.
    #[must_use]
    pub fn start(mut command: Command, log: &Path) -> Self {
        let open = || File::options().create(true).append(true).open(log);
        let opened = open().and_then(|output| Ok((output, open()?)));
        let (output, errors) = opened.unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = command.spawn();
        Self {
            child: child.unwrap_or_else(|error| panic!("{command:?}: {error}")),
            log: log.to_owned(),
        }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it printed.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The end of that.
    #[must_use]
    pub fn last_lines(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }

    /// Waits for its end by itself, and returns its exit code; none after a signal.
    #[must_use]
    pub fn ended(&mut self) -> Option<i32> {
        let mut code = None;
        crate::eventually("the process ends", || match self.child.try_wait() {
            Ok(Some(status)) => {
                code = status.code();
                true
            }
            Ok(None) | Err(_) => false,
        });
        code
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
