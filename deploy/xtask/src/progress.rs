//! How far a download is, read off the growing folder: pip and apt-get tell nobody else.

use std::fs;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use convoy_output::notice;
use indicatif::{ProgressBar, ProgressStyle};

/// Often enough to look alive; reading a folder of a few files costs microseconds.
const POLL: Duration = Duration::from_millis(200);
/// Without a terminal, one line at most this often.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Does `work` while showing how much of `total_bytes` has arrived in `folder`.
pub(crate) fn while_downloading<T>(folder: &Path, total_bytes: u64, work: impl FnOnce() -> T) -> T {
    let (ended, wait) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let display = Display::new(total_bytes);
            let mut line_due = Instant::now() + LINE_EVERY;
            // The sender only ever disconnects: that ends the display.
            while wait.recv_timeout(POLL) == Err(RecvTimeoutError::Timeout) {
                display.show(bytes_in(folder).min(total_bytes), &mut line_due);
            }
            display.bar.finish_and_clear();
        });
        let result = work();
        drop(ended);
        result
    })
}

/// Bytes of all files below `folder`, 0 while it does not exist; what vanishes meanwhile is not counted.
fn bytes_in(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_in(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

struct Display {
    bar: ProgressBar,
    total_bytes: u64,
    is_terminal: bool,
}

impl Display {
    fn new(total_bytes: u64) -> Self {
        let bar = ProgressBar::new(total_bytes);
        let style = "    {bar:40} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Self {
            bar,
            total_bytes,
            is_terminal: std::io::stderr().is_terminal(),
        }
    }

    fn show(&self, bytes: u64, line_due: &mut Instant) {
        if self.is_terminal {
            self.bar.set_position(bytes);
        } else if Instant::now() >= *line_due {
            *line_due += LINE_EVERY;
            notice(format_args!(
                "    {} of {} MB",
                bytes / 1_000_000,
                self.total_bytes / 1_000_000
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_nested_files_are_counted_and_a_missing_folder_has_none() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("inner")).unwrap();
        fs::write(folder.path().join("a"), [0; 10]).unwrap();
        fs::write(folder.path().join("inner/b"), [0; 5]).unwrap();
        assert_eq!(bytes_in(folder.path()), 15);
        assert_eq!(bytes_in(&folder.path().join("absent")), 0);
    }

    #[test]
    fn result_of_the_work_is_returned() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(while_downloading(folder.path(), 1, || 42), 42);
    }
}
