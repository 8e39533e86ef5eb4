//! Standard output and standard error. Whoever reads them may stop at any time (`convoy schema | head`), and a log that
//! they go to may fill its disk; neither is an error of ours, and `println!` would panic.

use std::fmt::Display;
use std::io::{Write, stderr, stdout};

/// A line on standard output: what was asked for.
pub fn answer(line: impl Display) {
    drop(writeln!(stdout(), "{line}"));
}

/// A line on standard error: what happens meanwhile, and what went wrong.
pub fn notice(line: impl Display) {
    drop(writeln!(stderr(), "{line}"));
}

#[cfg(test)]
mod tests;
