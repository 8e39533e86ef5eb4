//! Standard output and standard error. Whoever reads them may stop at any time (`convoy schema | head`), which is no
//! error of ours: `println!` would panic.

use std::fmt::Display;
use std::io::{Write, stderr, stdout};

/// A line on standard output: what was asked for.
pub(crate) fn answer(line: impl Display) {
    drop(writeln!(stdout(), "{line}"));
}

/// A line on standard error: what happens meanwhile, and what went wrong.
pub(crate) fn notice(line: impl Display) {
    drop(writeln!(stderr(), "{line}"));
}
