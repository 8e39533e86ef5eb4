//! Texts of bounded length.

use std::fmt;

use convoy_common::limits::{MAX_LAST_LINE_BYTES, MAX_LAST_LINES};
use serde::{Deserialize, Serialize};

use crate::job::Obituary;
use crate::limits::{
    MAX_ADDRESS_BYTES, MAX_ANNOTATION_KEY_BYTES, MAX_ANNOTATION_VALUE_BYTES, MAX_BUILD_BYTES,
    MAX_CLIENT_ID_BYTES, MAX_LABEL_KEY_BYTES, MAX_LABEL_VALUE_BYTES, MAX_PATH_BYTES,
    MAX_REASON_BYTES,
};
use crate::refusal::Refusal;

/// A text that is refused when it has the wrong length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Text {
    /// Names a client.
    ClientId,
    /// Names an annotation of a job.
    AnnotationKey,
    /// What an annotation says.
    AnnotationValue,
    /// Names a label of a node.
    LabelKey,
    /// What a label says.
    LabelValue,
    /// Where somebody can be reached.
    Address,
    /// Names a build.
    Build,
}

impl Text {
    /// The fewest and the most bytes it may have.
    #[must_use]
    pub fn bounds(self) -> (usize, usize) {
        match self {
            Self::ClientId => (1, MAX_CLIENT_ID_BYTES),
            Self::AnnotationKey => (1, MAX_ANNOTATION_KEY_BYTES),
            Self::AnnotationValue => (0, MAX_ANNOTATION_VALUE_BYTES),
            Self::LabelKey => (1, MAX_LABEL_KEY_BYTES),
            Self::LabelValue => (0, MAX_LABEL_VALUE_BYTES),
            Self::Address => (1, MAX_ADDRESS_BYTES),
            Self::Build => (0, MAX_BUILD_BYTES),
        }
    }

    /// That `text` has a length that this kind of text may have.
    ///
    /// # Errors
    /// If it has not.
    pub fn check(self, text: &str) -> Result<(), Refusal> {
        let ((least, most), bytes) = (self.bounds(), text.len());
        if bytes < least || bytes > most {
            return Err(Refusal::TextLength {
                what: self,
                bytes,
                least,
                most,
            });
        }
        Ok(())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientId => "a client's id",
            Self::AnnotationKey => "the key of an annotation",
            Self::AnnotationValue => "the value of an annotation",
            Self::LabelKey => "the key of a label",
            Self::LabelValue => "the value of a label",
            Self::Address => "an address",
            Self::Build => "the name of a build",
        })
    }
}

/// Stands where a text was cut.
const CUT: &str = " ...";

/// The text, cut to `most` bytes at the boundary of a character: what explains something is never refused for its length.
#[must_use]
pub(crate) fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most.saturating_sub(CUT.len())));
        text.push_str(CUT);
    }
    text
}

pub(crate) fn cut_reason(reason: String) -> String {
    cut(reason, MAX_REASON_BYTES)
}

pub(crate) fn cut_path(path: String) -> String {
    cut(path, MAX_PATH_BYTES)
}

/// The obituary with at most as many and as long lines as the limits allow, the last ones.
pub(crate) fn cut_obituary(obituary: Obituary) -> Obituary {
    let Obituary {
        pid,
        how,
        clean,
        mut last_lines,
        log_path,
    } = obituary;
    last_lines.drain(..last_lines.len().saturating_sub(MAX_LAST_LINES));
    let lines = last_lines.into_iter();
    Obituary {
        pid,
        how: cut_reason(how),
        clean,
        last_lines: lines.map(|line| cut(line, MAX_LAST_LINE_BYTES)).collect(),
        log_path: cut_path(log_path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_between_characters_and_short_text_stays() {
        assert_eq!(cut("short".to_owned(), 5), "short");
        assert_eq!(cut("a longer text".to_owned(), 10), "a long ...");
        assert_eq!(cut("ääääää".to_owned(), 9), "ää ...");
    }
}
