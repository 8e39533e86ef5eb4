//! Documents name only paths that exist, written from the root.

use std::path::Path;

use crate::tree::{File, Finding};

/// Made by set-up, builds and runs, so absent from a fresh clone.
const MADE_LATER: [&str; 5] = [".convoy", ".data", ".libtorch", ".tools", "target"];

/// Paths in a document that are not in the tree: code spans that are one path, words of commands that begin with a
/// folder of the root, and relative links.
pub(crate) fn missing_paths(file: &File, root: &Path) -> Vec<Finding> {
    if !file.path.ends_with(".md") {
        return Vec::new();
    }
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut findings = Vec::new();
    let mut in_block = false;
    for (index, line) in file.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
            continue;
        }
        let mut named: Vec<&str> = Vec::new();
        if in_block {
            named.extend(
                line.split_whitespace()
                    .filter(|word| begins_in_tree(word, root)),
            );
        } else {
            named.extend(code_spans(line).flat_map(|span| paths_in_span(span, root)));
        }
        let here = root.join(folder);
        let gone = |path: &&str| !root.join(trimmed(path)).exists();
        let gone_link = |path: &&str| !here.join(trimmed(path)).exists();
        let missing = named
            .into_iter()
            .filter(gone)
            .chain(links(line).filter(gone_link));
        findings.extend(missing.map(|path| {
            Finding::new(
                &file.path,
                index + 1,
                format!("{path} does not exist (paths are written from the root)"),
            )
        }));
    }
    findings
}

fn code_spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn paths_in_span<'a>(span: &'a str, root: &Path) -> Vec<&'a str> {
    let words: Vec<&str> = span.split_whitespace().collect();
    match words.as_slice() {
        [word] => {
            if is_path(word) {
                vec![*word]
            } else {
                Vec::new()
            }
        }
        _ => words
            .into_iter()
            .filter(|word| begins_in_tree(word, root))
            .collect(),
    }
}

/// One word that can only be meant as a path of the tree.
fn is_path(word: &str) -> bool {
    let plain = word
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric() || "_-./".contains(letter));
    let looks = word.contains('/') || word.ends_with(".md");
    let outside = word.starts_with(['/', '-']) || word.starts_with("..") || is_made_later(word);
    plain && looks && !outside
}

fn begins_in_tree(word: &str, root: &Path) -> bool {
    let Some((first, _)) = word.split_once('/') else {
        return false;
    };
    is_path(word) && !first.is_empty() && root.join(first).is_dir()
}

fn is_made_later(word: &str) -> bool {
    let first = word.split('/').next().unwrap_or(word);
    MADE_LATER.contains(&first)
}

fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|link| {
            !link.contains("://") && !link.starts_with(['#', '/']) && !link.starts_with("mailto:")
        })
}

fn trimmed(path: &str) -> &str {
    let path = path.split('#').next().unwrap_or(path);
    path.trim_end_matches(['/', '.', ','])
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The words found missing in `text` of a document of a tree that has `common/src/lib.rs` and `README.md`.
    fn missing(text: &str) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("common/src")).unwrap();
        fs::write(root.path().join("common/src/lib.rs"), "").unwrap();
        fs::write(root.path().join("README.md"), "").unwrap();
        let found = missing_paths(&File::new("README.md", text), root.path());
        found
            .iter()
            .map(|finding| finding.what.split(' ').next().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn path_that_exists_is_fine_and_one_that_does_not_is_found() {
        assert_eq!(
            missing("`common/src/lib.rs`, `common/`, [it](common/src) and `README.md`"),
            [""; 0]
        );
        assert_eq!(
            missing("see `comon/src/lib.rs`, `src/lib.rs`"),
            ["comon/src/lib.rs", "src/lib.rs"]
        );
        assert_eq!(
            missing("`GONE.md` and [it](docs/gone.md#part)"),
            ["GONE.md", "docs/gone.md#part"]
        );
    }

    #[test]
    fn words_of_commands_are_paths_where_they_begin_in_the_tree() {
        assert_eq!(
            missing("`convoy run common/gone.toml --workers 2/2`"),
            ["common/gone.toml"]
        );
        assert_eq!(
            missing("```\nconvoy run common/gone.toml\nother/gone\n```"),
            ["common/gone.toml"]
        );
    }

    #[test]
    fn what_is_made_later_and_what_is_no_path_is_left_alone() {
        assert_eq!(
            missing("`target/release/convoy`, `.libtorch/torch`, `/healthz`, `a/{b}`, `f(x) / 2`"),
            [""; 0]
        );
        assert_eq!(
            missing("[web](https://docs.rs/x), [part](#part), common/gone"),
            [""; 0]
        );
    }
}
