//! Logs on standard output: one as it is, several line by line, each with its worker's number.

use std::io::{self, Write};

/// A line is held until it ends, so that no other log comes between; a longer one is shown in pieces.
const MAX_LINE_BYTES: usize = 64 << 10;

/// Where logs go.
#[derive(Debug)]
pub(super) struct Printer<W> {
    out: W,
    is_named: bool,
}

/// What was read of a log and waits for the end of its line.
#[derive(Debug, Default)]
pub(super) struct Line(Vec<u8>);

impl<W: Write> Printer<W> {
    /// Lines are named after their workers where there are several.
    pub(super) fn new(out: W, is_named: bool) -> Self {
        Self { out, is_named }
    }

    /// Prints what was read of a worker's log. Fails when nobody listens any more.
    pub(super) fn print(&mut self, worker: u32, line: &mut Line, bytes: &[u8]) -> io::Result<()> {
        if !self.is_named {
            self.out.write_all(bytes)?;
            return self.out.flush();
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            line.0.extend_from_slice(piece);
            if piece.ends_with(b"\n") || line.0.len() >= MAX_LINE_BYTES {
                self.end_line(worker, line)?;
            }
        }
        self.out.flush()
    }

    /// Nothing more comes: prints a last line that has no end.
    pub(super) fn finish(&mut self, worker: u32, line: &mut Line) -> io::Result<()> {
        if line.0.is_empty() {
            return Ok(());
        }
        self.end_line(worker, line)?;
        self.out.flush()
    }

    fn end_line(&mut self, worker: u32, line: &mut Line) -> io::Result<()> {
        write!(self.out, "worker {worker}: ")?;
        self.out.write_all(&line.0)?;
        if !line.0.ends_with(b"\n") {
            self.out.write_all(b"\n")?;
        }
        line.0.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_several_logs_are_named_and_stay_whole() {
        let mut out = Vec::new();
        let mut printer = Printer::new(&mut out, true);
        let (mut first, mut second) = (Line::default(), Line::default());
        printer.print(0, &mut first, b"one\ntw").unwrap();
        printer.print(1, &mut second, b"\nother").unwrap();
        printer.print(0, &mut first, b"o\n").unwrap();
        printer.finish(0, &mut first).unwrap();
        printer.finish(1, &mut second).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "worker 0: one\nworker 1: \nworker 0: two\nworker 1: other\n"
        );
    }

    #[test]
    fn single_log_is_printed_byte_by_byte_and_a_line_without_end_in_pieces() {
        let mut out = Vec::new();
        let mut line = Line::default();
        Printer::new(&mut out, false)
            .print(0, &mut line, b"\xff\n x")
            .unwrap();
        assert_eq!(out, b"\xff\n x");
        let mut out = Vec::new();
        let mut printer = Printer::new(&mut out, true);
        printer
            .print(3, &mut line, &[b'x'; MAX_LINE_BYTES])
            .unwrap();
        assert!(line.0.is_empty(), "nothing is held");
        assert!(out.starts_with(b"worker 3: x") && out.ends_with(b"x\n"));
    }
}
