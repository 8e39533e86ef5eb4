//! The last lines of a log.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use convoy_common::limits::{MAX_LAST_LINE_BYTES, MAX_LAST_LINES};

/// Holds the last lines even if all are as long as they may be.
const TAIL_BYTES: u64 = (MAX_LAST_LINES * MAX_LAST_LINE_BYTES) as u64;

/// The last lines of `log`, oldest first; none if it can't be read, since it is only looked at to explain other trouble.
pub(crate) fn last_lines(log: &Path) -> Vec<String> {
    let text = read_tail(log).unwrap_or_default();
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines
        .iter()
        .skip(lines.len().saturating_sub(MAX_LAST_LINES))
        .map(|line| printable(line))
        .collect()
}

fn read_tail(log: &Path) -> io::Result<String> {
    let mut file = File::open(log)?;
    let start = file.metadata()?.len().saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Without what could drive the terminal.
fn printable(line: &str) -> String {
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    let end = (0..=MAX_LAST_LINE_BYTES.min(line.len()))
        .rev()
        .find(|end| line.is_char_boundary(*end))
        .unwrap_or(0);
    line[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_lines_are_taken_from_the_end_and_made_safe() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let text: String = (0..5_000)
            .map(|line| format!("line {line}\x1b[31m\n"))
            .collect();
        std::fs::write(&log, text + "\n\u{e9}nd").unwrap();
        let lines = last_lines(&log);
        assert_eq!(lines.len(), MAX_LAST_LINES);
        assert_eq!(lines[MAX_LAST_LINES - 2..], ["line 4999[31m", "\u{e9}nd"]);
        assert!(last_lines(&folder.path().join("missing")).is_empty());
    }
}
