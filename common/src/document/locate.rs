//! A TOML document in which a key path leads to the place of its text.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::finding::{Finding, Focus};
use super::key_path::{KeyPath, Segment};

/// Byte range of what `finding` is about, and the path of it that is shown. A key that the document lacks is shown at
/// the table that should have it; the document itself has an empty range.
pub(super) fn locate<'f>(
    document: &DeTable<'_>,
    finding: &'f Finding,
) -> (Range<usize>, Option<&'f KeyPath>) {
    for path in &finding.paths {
        let (spans, found_all) = walk(document, path);
        if found_all {
            return (spans.range(finding.focus), Some(path));
        }
    }
    let first = finding.paths.first();
    let range = first.map_or(0..0, |path| walk(document, path).0.range(Focus::Value));
    (range, first)
}

#[derive(Clone, Default)]
struct Spans {
    key: Range<usize>,
    value: Range<usize>,
}

impl Spans {
    fn range(&self, focus: Focus) -> Range<usize> {
        match focus {
            Focus::Key => self.key.clone(),
            Focus::Value => self.value.clone(),
        }
    }
}

/// Goes down as far as the document goes; says where it got to and whether that is the end of the path.
fn walk(document: &DeTable<'_>, path: &KeyPath) -> (Spans, bool) {
    let mut spans = Spans::default();
    let mut table = Some(document);
    let mut value: Option<&Spanned<DeValue<'_>>> = None;
    for segment in path.segments() {
        match segment {
            Segment::Key(key) => {
                let Some((key, inner)) = table.and_then(|table| table.get_key_value(key.as_str()))
                else {
                    return (spans, false);
                };
                spans = Spans {
                    key: key.span(),
                    value: inner.span(),
                };
                value = Some(inner);
            }
            Segment::Index(index) => {
                let array = value.and_then(|value| value.get_ref().as_array());
                let Some(inner) = array.and_then(|array| array.get(*index)) else {
                    return (spans, false);
                };
                spans = Spans {
                    key: inner.span(),
                    value: inner.span(),
                };
                value = Some(inner);
            }
        }
        table = value.and_then(|value| value.get_ref().as_table());
    }
    (spans, true)
}
