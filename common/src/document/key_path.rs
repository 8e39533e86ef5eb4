//! Where a value stands in a document: `training.global_batch`, `data.mean[0]`.

use std::fmt;

use super::finding::quoted;

/// One step down into a document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Segment {
    Key(String),
    Index(usize),
}

/// The way from the root of a document to a value; empty for the root.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyPath(Vec<Segment>);

impl KeyPath {
    /// From text as garde writes it; keys of our structs hold neither '.' nor '['.
    pub(crate) fn parse(text: &str) -> Self {
        let parts = text.split(['.', '[']).filter(|part| !part.is_empty());
        Self(parts.map(segment).collect())
    }

    pub(crate) fn key(&self, key: &str) -> Self {
        self.join(Segment::Key(key.to_owned()))
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        self.join(Segment::Index(index))
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.0
    }

    fn join(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }
}

fn segment(part: &str) -> Segment {
    match part.strip_suffix(']').map(str::parse) {
        Some(Ok(index)) => Segment::Index(index),
        Some(Err(_)) | None => Segment::Key(part.to_owned()),
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) => {
                    f.write_str(if at == 0 { "" } else { "." })?;
                    if is_bare(key) {
                        f.write_str(key)?
                    } else {
                        f.write_str(&quoted(key))?
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether TOML takes the key without quotes, and a reader takes it in at a glance.
fn is_bare(key: &str) -> bool {
    (1..=64).contains(&key.len())
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}
