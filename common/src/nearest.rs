//! Which name someone may have meant: of a key, a job, a node.

use crate::limits::MAX_ID_BYTES;

/// Longer texts are no slips of the keyboard, and comparing them takes time in the square of their length.
const LONGEST_COMPARED: usize = 64;

/// Ids are as long as this at most.
const LONGEST_NAME: usize = MAX_ID_BYTES;

/// The name nearest to `text`, if one is near: a few letters differ, or one contains the other. Neither case nor the choice
/// between `-` and `_` counts.
pub fn nearest<'a>(text: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if text.len() > LONGEST_COMPARED {
        return None;
    }
    let text = plain(text);
    let ranked = names
        .into_iter()
        .filter(|name| name.len() <= LONGEST_NAME)
        .filter_map(|name| Some((distance(&text, &plain(name))?, name)));
    ranked.min().map(|(_, name)| name)
}

fn plain(text: &str) -> String {
    text.to_lowercase().replace('-', "_")
}

fn distance(text: &str, name: &str) -> Option<usize> {
    let edits = strsim::damerau_levenshtein(text, name);
    let near = edits <= (text.len().max(name.len()) / 3).max(1);
    let contained = text.len().min(name.len()) >= 4 && (name.contains(text) || text.contains(name));
    (near || contained).then_some(edits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_and_keys_are_found_by_a_few_letters() {
        let jobs = ["fashion-1", "fashion-12", "tiny-1"];
        assert_eq!(nearest("fashon-1", jobs), Some("fashion-1"));
        assert_eq!(nearest("TINY_1", jobs), Some("tiny-1"));
        assert_eq!(nearest("fashion", jobs), Some("fashion-1"));
        assert_eq!(nearest("resnet-1", jobs), None);
    }
}
