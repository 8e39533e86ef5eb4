//! What a check found wrong, before it is known where in the file that stands.

use super::key_path::KeyPath;
use crate::limits::MAX_SPEC_PROBLEMS;

/// What to underline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Focus {
    Key,
    Value,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    /// The keys involved; the first that the document has is shown.
    pub(crate) paths: Vec<KeyPath>,
    pub(crate) focus: Focus,
    pub(crate) reason: String,
    /// What to do, or what would be right.
    pub(crate) note: Option<String>,
}

/// All that is wrong, as far as anyone will read.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    kept: Vec<Finding>,
    left_out: usize,
}

impl Findings {
    pub(crate) fn push(&mut self, finding: Finding) {
        if self.kept.len() < MAX_SPEC_PROBLEMS {
            self.kept.push(finding);
        } else {
            self.left_out += 1;
        }
    }

    /// Adds what was found by a later check, unless an earlier one found the same key wrong.
    pub(crate) fn push_new(&mut self, findings: impl IntoIterator<Item = Finding>) {
        let known: Vec<KeyPath> = self
            .kept
            .iter()
            .flat_map(|finding| finding.paths.clone())
            .collect();
        for finding in findings {
            if !finding.paths.iter().any(|path| known.contains(path)) {
                self.push(finding);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The findings, and how many more there were.
    pub(crate) fn into_parts(self) -> (Vec<Finding>, usize) {
        (self.kept, self.left_out)
    }
}

impl Finding {
    /// Something about the value of `path`.
    pub(crate) fn value(path: KeyPath, reason: impl Into<String>) -> Self {
        Self {
            paths: vec![path],
            focus: Focus::Value,
            reason: reason.into(),
            note: None,
        }
    }

    /// Something about the key at the end of `path`.
    pub(crate) fn key(path: KeyPath, reason: impl Into<String>) -> Self {
        Self {
            focus: Focus::Key,
            ..Self::value(path, reason)
        }
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// Another key that is involved, to be shown when the document leaves the first to its default.
    pub(crate) fn or_at(mut self, path: KeyPath) -> Self {
        self.paths.push(path);
        self
    }
}

/// Text of the user for one line of a message: escaped, and cut where nobody would read on.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN_CHARS: usize = 60;
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}
