//! Errors of a document, each with its place in the file, shown as rustc shows them.

use std::fmt;
use std::ops::Range;

/// Everything that is wrong with a document, in the order of the file; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentErrors {
    file_name: String,
    problems: Vec<Problem>,
    left_out: usize,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The dotted path of the key, `training.global_batch`; empty where the file as a whole or its syntax is wrong.
    pub path: String,
    /// What is wrong, with the nearest valid name where there is one.
    pub reason: String,
    /// What to do, or what would be right.
    pub note: Option<String>,
    /// Where; none for what is wrong with the file as a whole.
    pub place: Option<Place>,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Character of the line, from 1.
    pub column: usize,
    /// The line itself, or the part of a long line around the column; control characters are replaced. Empty where no
    /// line is to blame.
    pub excerpt: String,
    /// Characters of the excerpt before the column.
    pub excerpt_column: usize,
    /// Characters to underline, at least 1.
    pub width: usize,
}

impl DocumentErrors {
    /// Sorts the problems by place. There must be one.
    pub(super) fn new(file_name: &str, mut problems: Vec<Problem>, left_out: usize) -> Self {
        debug_assert!(!problems.is_empty(), "errors without an error");
        problems.sort_by(|a, b| a.place.cmp(&b.place));
        Self {
            file_name: file_name.to_owned(),
            problems,
            left_out,
        }
    }

    /// One problem of the file as a whole.
    pub(crate) fn whole(file_name: &str, reason: String) -> Self {
        Self::new(
            file_name,
            vec![Problem {
                path: String::new(),
                reason,
                note: None,
                place: None,
            }],
            0,
        )
    }

    /// The problems in the order of the file, at most [`crate::limits::MAX_SPEC_PROBLEMS`].
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl Place {
    /// The start of a file, without its line.
    pub(super) fn start() -> Self {
        Self {
            line: 1,
            column: 1,
            excerpt: String::new(),
            excerpt_column: 0,
            width: 1,
        }
    }

    /// The place of the byte range `span` of `source`.
    pub(super) fn of(source: &str, span: Range<usize>) -> Self {
        let start = floor_boundary(source, span.start);
        let line_start = source[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = source[start..]
            .find('\n')
            .map_or(source.len(), |newline| start + newline);
        let before = source[line_start..start].chars().count();
        let end = floor_boundary(source, span.end).clamp(start, line_end);
        let text = source[line_start..line_end].trim_end_matches('\r');
        let (excerpt, excerpt_column) = excerpt(text, before);
        let room = excerpt.chars().count().saturating_sub(excerpt_column);
        let width = source[start..end].chars().count().min(room).max(1);
        let line = source[..line_start].matches('\n').count() + 1;
        Self {
            line,
            column: before + 1,
            excerpt,
            excerpt_column,
            width,
        }
    }
}

/// The part of a line that is shown, and how many of its characters stand before `column` (from 0).
fn excerpt(line: &str, column: usize) -> (String, usize) {
    const SHOWN_CHARS: usize = 120;
    const SHOWN_BEFORE: usize = 80;
    let skipped = column.saturating_sub(SHOWN_BEFORE);
    // A tab takes one column here, so that the caret stands below its character; other control characters could
    // drive the terminal.
    let printable = |c: char| match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    (
        line.chars()
            .skip(skipped)
            .take(SHOWN_CHARS)
            .map(printable)
            .collect(),
        column - skipped,
    )
}

fn floor_boundary(source: &str, index: usize) -> usize {
    let index = index.min(source.len());
    (0..=index)
        .rev()
        .find(|at| source.is_char_boundary(*at))
        .unwrap_or(0)
}

impl fmt::Display for DocumentErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { "\n" })?;
            write_problem(f, &self.file_name, problem)?;
        }
        match self.left_out {
            0 => Ok(()),
            more => write!(f, "\n{}: {more} more problems not shown", self.file_name),
        }
    }
}

impl std::error::Error for DocumentErrors {}

/// `file:line:column: path: reason`, then the line with the place underlined, then the note.
fn write_problem(f: &mut fmt::Formatter<'_>, file_name: &str, problem: &Problem) -> fmt::Result {
    f.write_str(file_name)?;
    if let Some(place) = &problem.place {
        write!(f, ":{}:{}", place.line, place.column)?;
    }
    if !problem.path.is_empty() {
        write!(f, ": {}", problem.path)?;
    }
    write!(f, ": {}", problem.reason)?;
    let mut margin = 1;
    if let Some(place) = &problem.place
        && !place.excerpt.trim().is_empty()
    {
        let number = place.line.to_string();
        margin = number.len() + 1;
        let (indent, carets) = (" ".repeat(place.excerpt_column), "^".repeat(place.width));
        write!(
            f,
            "\n{number} | {}\n{:margin$}| {indent}{carets}",
            place.excerpt, ""
        )?;
    }
    match &problem.note {
        Some(note) => write!(f, "\n{:margin$}= {note}", ""),
        None => Ok(()),
    }
}
