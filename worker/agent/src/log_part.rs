//! Parts of logs, read for whoever wants to see them. Where a log lies follows from the worker's name alone.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use convoy_common::ids::WorkerRef;
use convoy_common::limits::MAX_LOG_PART_BYTES;

use crate::log_file;

/// The last lines are looked for in so many bytes before the end; longer lines than that are cut.
const TAIL_BYTES: u64 = 16 << 20;

/// Read at once while lines are looked for.
const BLOCK_BYTES: usize = 64 << 10;

/// Where a part begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// So many bytes after the log's beginning.
    Offset(u64),
    /// So many lines before its end.
    LastLines(u32),
}

/// Part of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogPart {
    /// Of the first byte.
    pub(crate) offset: u64,
    /// At most [`MAX_LOG_PART_BYTES`].
    pub(crate) bytes: Vec<u8>,
    /// Of the whole log.
    pub(crate) length: u64,
}

/// Why there is no part.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogPartError {
    #[error("there is none in {folder}: it was not started there yet, or its log was removed")]
    Missing { folder: String },
    #[error("cannot read {path}: {source}")]
    Read { path: String, source: io::Error },
}

/// Reads part of the log of `worker` below `folder`, the folder of its job's logs.
pub(crate) fn read(folder: &Path, worker: &WorkerRef, from: From) -> Result<LogPart, LogPartError> {
    for path in log_file::places(folder, worker) {
        let failed = |source| {
            let path = path.display().to_string();
            LogPartError::Read { path, source }
        };
        if let Some(file) = log_file::open_to_read(&path).map_err(failed)? {
            return read_file(file, from).map_err(failed);
        }
    }
    let folder = folder.display().to_string();
    Err(LogPartError::Missing { folder })
}

fn read_file(mut file: File, from: From) -> io::Result<LogPart> {
    let length = file.metadata()?.len();
    let offset = match from {
        From::Offset(offset) => offset.min(length),
        From::LastLines(lines) => beginning_of_last(&mut file, length, lines)?,
    };
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    // Not beyond the length that is told: what is written meanwhile is read the next time.
    let most = (MAX_LOG_PART_BYTES as u64).min(length - offset);
    file.take(most).read_to_end(&mut bytes)?;
    Ok(LogPart {
        offset,
        bytes,
        length,
    })
}

/// Where the last `lines` lines begin, looking from the end backwards block by block. A last line without an end counts.
fn beginning_of_last(file: &mut File, length: u64, lines: u32) -> io::Result<u64> {
    let (mut end, mut found) = (length, 0);
    let first = length.saturating_sub(TAIL_BYTES);
    let mut block = vec![0; BLOCK_BYTES];
    while lines > 0 && end > first {
        let begin = end.saturating_sub(BLOCK_BYTES as u64).max(first);
        file.seek(SeekFrom::Start(begin))?;
        let block = &mut block[..usize::try_from(end - begin).unwrap_or(BLOCK_BYTES)];
        file.read_exact(block)?;
        for (at, byte) in block.iter().enumerate().rev() {
            let next = begin + at as u64 + 1;
            // The end of the last line is no beginning of another.
            if *byte == b'\n' && next < length {
                found += 1;
                if found == lines {
                    return Ok(next);
                }
            }
        }
        end = begin;
    }
    Ok(if lines == 0 { length } else { first })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use convoy_common::ids::{Incarnation, JobId, WorkerId};

    use super::*;

    fn worker(incarnation: u64) -> WorkerRef {
        WorkerRef {
            job: JobId::try_from("toy-1".to_owned()).unwrap(),
            worker: WorkerId(4),
            incarnation: Incarnation(incarnation),
        }
    }

    fn text(folder: &Path, from: From) -> String {
        let part = read(folder, &worker(1), from).unwrap();
        String::from_utf8(part.bytes).unwrap()
    }

    #[test]
    fn last_lines_are_found_with_and_without_an_end_of_the_last_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("worker-4.log");
        let last = |lines| text(folder.path(), From::LastLines(lines));
        fs::write(&file, "one\ntwo\n\nfour\n").unwrap();
        assert_eq!(last(0), "");
        assert_eq!(last(1), "four\n");
        assert_eq!(last(2), "\nfour\n");
        assert_eq!(last(3), "two\n\nfour\n");
        assert_eq!(last(4), last(100));
        fs::write(&file, "one\ntwo").unwrap();
        assert_eq!(last(1), "two");
        fs::write(&file, "").unwrap();
        assert_eq!(last(3), "");
    }

    #[test]
    fn lines_longer_than_a_block_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let long = "x".repeat(3 * BLOCK_BYTES);
        fs::write(
            folder.path().join("worker-4.log"),
            format!("a\n{long}\nb\n"),
        )
        .unwrap();
        let part = read(folder.path(), &worker(1), From::LastLines(2)).unwrap();
        assert_eq!(part.offset, 2);
        assert_eq!(part.bytes.len(), MAX_LOG_PART_BYTES);
    }

    #[test]
    fn parts_put_together_are_the_log_and_one_beyond_its_end_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let log: Vec<u8> = (0..200_000u32).map(|number| number as u8).collect();
        fs::write(folder.path().join("worker-4.log"), &log).unwrap();
        let mut whole = Vec::new();
        loop {
            let from = From::Offset(whole.len() as u64);
            let part = read(folder.path(), &worker(1), from).unwrap();
            assert_eq!(part.length, log.len() as u64);
            if part.bytes.is_empty() {
                break;
            }
            whole.extend(part.bytes);
        }
        assert!(whole == log);
        let beyond = read(folder.path(), &worker(1), From::Offset(1 << 40)).unwrap();
        assert_eq!((beyond.offset, beyond.bytes.len()), (200_000, 0));
    }

    #[test]
    fn later_life_has_a_log_of_its_own_and_a_link_is_no_log() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        fs::write(folder.join("worker-4.log"), "first").unwrap();
        fs::write(folder.join("worker-4.i7.log"), "later").unwrap();
        assert_eq!(
            read(folder, &worker(7), From::Offset(0)).unwrap().bytes,
            b"later"
        );
        assert_eq!(
            read(folder, &worker(1), From::Offset(0)).unwrap().bytes,
            b"first"
        );
        fs::write(folder.join("secret"), "key").unwrap();
        fs::remove_file(folder.join("worker-4.log")).unwrap();
        std::os::unix::fs::symlink(folder.join("secret"), folder.join("worker-4.log")).unwrap();
        let refused = read(folder, &worker(1), From::Offset(0))
            .unwrap_err()
            .to_string();
        assert!(refused.contains("there is none in"), "{refused}");
    }
}
