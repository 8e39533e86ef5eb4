//! Errors in words.

use std::error::Error;
use std::fmt::Write as _;

/// An error with all its sources in one line; the transport's own says only "transport error".
#[must_use]
pub fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.ends_with(&more) {
            // Writing to a String can't fail.
            let _ = write!(text, ": {more}");
        }
        source = error.source();
    }
    text
}
