//! The log file of one worker life, and its last lines.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use convoy_common::ids::WorkerRef;
use convoy_common::limits::{MAX_LAST_LINE_BYTES, MAX_LAST_LINES};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// What is read from the end of a log: room for the longest last lines, counting bytes that become longer in UTF-8.
const TAIL_BYTES: u64 = (MAX_LAST_LINES * MAX_LAST_LINE_BYTES) as u64;

/// Marks a line that was cut.
const CUT: &str = "...";

/// A log file that this life alone writes to from `start` on.
#[derive(Debug)]
pub(crate) struct LogFile {
    pub(crate) path: PathBuf,
    file: File,
    start: u64,
}

impl LogFile {
    /// Opens `worker-<id>.log` in `folder`; a later life takes `worker-<id>.i<incarnation>.log`, so that the file of the
    /// life before stays whole.
    pub(crate) fn open(folder: &Path, worker: &WorkerRef) -> io::Result<Self> {
        let path = first_life(folder, worker);
        match OpenOptions::new().append(true).create_new(true).open(&path) {
            Ok(file) => Ok(Self {
                path,
                file,
                start: 0,
            }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Self::open_at(later_life(folder, worker))
            }
            Err(error) => Err(error),
        }
    }

    /// Opens `path` to write behind what it holds.
    pub(crate) fn open_at(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(&path)?;
        let start = file.metadata()?.len();
        Ok(Self { path, file, start })
    }

    /// A handle for an output of the worker; it appends, so two of them don't overwrite each other.
    pub(crate) fn writer(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// The last lines that this life wrote, oldest first, as far as they can be read.
    pub(crate) fn last_lines(&self) -> Vec<String> {
        match read_tail(&self.path, self.start) {
            Ok(Some((bytes, cut))) => last_lines(&bytes, cut),
            Ok(None) => vec![format!("({} is no longer there)", self.path.display())],
            Err(error) => vec![format!("(cannot read {}: {error})", self.path.display())],
        }
    }
}

/// Where the log of `worker` may lie in `folder`: in the first of these that is there.
pub(crate) fn places(folder: &Path, worker: &WorkerRef) -> [PathBuf; 2] {
    // A first life has no file of the first name.
    [later_life(folder, worker), first_life(folder, worker)]
}

/// Opens a log to read it; none if there is none. A link, a pipe or a device, which a worker may have put in its place at any
/// moment, is no log, and is neither followed nor waited for.
///
/// # Errors
/// If it can't be opened.
pub(crate) fn open_to_read(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => {
            let file = File::from(file);
            // Asked of the open file: something else may have this name by now.
            Ok(file.metadata()?.is_file().then_some(file))
        }
        // Nothing, a link, a socket.
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn first_life(folder: &Path, worker: &WorkerRef) -> PathBuf {
    folder.join(format!("worker-{}.log", worker.worker))
}

fn later_life(folder: &Path, worker: &WorkerRef) -> PathBuf {
    let WorkerRef {
        worker,
        incarnation,
        ..
    } = worker;
    folder.join(format!("worker-{worker}.i{incarnation}.log"))
}

/// The end of the file, and whether it begins within a line; none if there is no such file.
fn read_tail(path: &Path, start: u64) -> io::Result<Option<(Vec<u8>, bool)>> {
    let Some(mut file) = open_to_read(path)? else {
        return Ok(None);
    };
    let length = file.metadata()?.len();
    let from = length.saturating_sub(TAIL_BYTES).max(start.min(length));
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    // Whoever else holds the file may still write; what comes now is not waited for.
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(Some((bytes, from > start)))
}

fn last_lines(bytes: &[u8], cut: bool) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines: Vec<&str> = text.lines().collect();
    if cut && lines.len() > 1 {
        lines.remove(0);
    }
    let skipped = lines.len().saturating_sub(MAX_LAST_LINES);
    lines.into_iter().skip(skipped).map(shortened).collect()
}

fn shortened(line: &str) -> String {
    if line.len() <= MAX_LAST_LINE_BYTES {
        return line.to_owned();
    }
    let end = line.floor_char_boundary(MAX_LAST_LINE_BYTES - CUT.len());
    format!("{}{CUT}", &line[..end])
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use convoy_common::ids::{Incarnation, JobId, WorkerId};

    use super::*;

    fn worker(incarnation: u64) -> WorkerRef {
        WorkerRef {
            job: JobId::try_from("toy-1".to_owned()).unwrap(),
            worker: WorkerId(4),
            incarnation: Incarnation(incarnation),
        }
    }

    #[test]
    fn each_life_has_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let first = LogFile::open(folder.path(), &worker(1)).unwrap();
        let second = LogFile::open(folder.path(), &worker(2)).unwrap();
        assert_eq!(first.path, folder.path().join("worker-4.log"));
        assert_eq!(second.path, folder.path().join("worker-4.i2.log"));
        first.writer().unwrap().write_all(b"one\n").unwrap();
        second.writer().unwrap().write_all(b"two\n").unwrap();
        assert_eq!(first.last_lines(), ["one"]);
        assert_eq!(second.last_lines(), ["two"]);
    }

    #[test]
    fn what_a_worker_puts_in_the_place_of_its_log_is_neither_followed_nor_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("secret"), "key").unwrap();
        std::os::unix::fs::symlink(at("secret"), at("link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let mode = Mode::from_raw_mode(0o600);
        let pipe = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), pipe, mode, 0).unwrap();
        for name in ["link", "pipe", "socket", "nothing", "."] {
            let opened = open_to_read(&at(name)).unwrap();
            assert!(opened.is_none(), "{name}");
        }
        assert!(open_to_read(&at("secret")).unwrap().is_some());
    }

    #[test]
    fn log_that_was_replaced_by_a_pipe_does_not_hold_up_who_tells_its_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let log = LogFile::open(folder.path(), &worker(1)).unwrap();
        std::fs::remove_file(&log.path).unwrap();
        let mode = Mode::from_raw_mode(0o600);
        let pipe = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &log.path, pipe, mode, 0).unwrap();
        let lines = log.last_lines();
        assert!(lines[0].ends_with("is no longer there)"), "{lines:?}");
    }

    #[test]
    fn lines_of_an_earlier_life_in_the_same_file_are_not_taken_for_this_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("worker-4.log");
        std::fs::write(&path, "earlier\n").unwrap();
        let log = LogFile::open_at(path).unwrap();
        assert!(log.last_lines().is_empty());
        log.writer().unwrap().write_all(b"now\n").unwrap();
        assert_eq!(log.last_lines(), ["now"]);
    }

    #[test]
    fn only_the_end_of_a_long_log_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let log = LogFile::open(folder.path(), &worker(1)).unwrap();
        let text: String = (0..100_000).map(|line| format!("line {line}\n")).collect();
        log.writer().unwrap().write_all(text.as_bytes()).unwrap();
        let lines = log.last_lines();
        assert_eq!(lines.len(), MAX_LAST_LINES);
        assert_eq!(lines.first().unwrap(), "line 99980");
        assert_eq!(lines.last().unwrap(), "line 99999");
    }

    #[test]
    fn endless_line_and_bytes_that_are_no_text_are_cut_to_the_limit() {
        let mut bytes = "ä".repeat(1_000).into_bytes();
        bytes.extend(b"\nbad \xff byte");
        let lines = last_lines(&bytes, false);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].len() <= MAX_LAST_LINE_BYTES && lines[0].ends_with("ä..."));
        assert_eq!(lines[1], "bad \u{fffd} byte");
    }

    #[test]
    fn first_line_of_a_cut_is_left_out_unless_it_is_all_there_is() {
        assert_eq!(last_lines(b"rt of a line\nwhole", true), ["whole"]);
        assert_eq!(last_lines(b"rt of a line", true), ["rt of a line"]);
        assert!(last_lines(b"", false).is_empty());
    }
}
