//! Which valid name someone may have meant.

/// Longer texts are no slips of the keyboard, and comparing them takes time in the square of their length.
const LONGEST_COMPARED: usize = 64;

/// The valid name nearest to `text`, if one is near: a few letters differ, or one contains the other.
pub(super) fn nearest<'a>(text: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if text.len() > LONGEST_COMPARED {
        return None;
    }
    let text = text.to_lowercase().replace('-', "_");
    let ranked = names
        .into_iter()
        .filter_map(|name| Some((distance(&text, name)?, name)));
    ranked.min().map(|(_, name)| name)
}

fn distance(text: &str, name: &str) -> Option<usize> {
    let edits = strsim::damerau_levenshtein(text, name);
    let near = edits <= (text.len().max(name.len()) / 3).max(1);
    let contained = text.len().min(name.len()) >= 4 && (name.contains(text) || text.contains(name));
    (near || contained).then_some(edits)
}
