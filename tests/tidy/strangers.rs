//! What only somebody's own machine or network knows has no place in a public tree.

use crate::tree::{File, Finding};

/// First folders of paths that exist on one machine only.
const OWN_FOLDERS: [&str; 5] = ["Users", "builds", "home", "root", "work"];

/// Hosts that everybody can reach, and that a reader expects here.
const HOSTS: [&str; 13] = [
    "arxiv.org",
    "crates.io",
    "docs.rs",
    "doc.rust-lang.org",
    "github.com",
    "json-schema.org",
    "localhost",
    "pytorch.org",
    "raw.githubusercontent.com",
    "rustup.rs",
    "www.apache.org",
    "www.cs.toronto.edu",
    "yann.lecun.com",
];

/// Absolute paths of one machine, and hosts that are not on the list.
pub(crate) fn findings(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        for folder in OWN_FOLDERS {
            if names_folder(line, folder) {
                let what = format!("a path below /{folder} exists on one machine only");
                findings.push(Finding::new(&file.path, index + 1, what));
            }
        }
        for host in hosts(line).filter(|host| !is_known(host)) {
            let what =
                format!("{host} is no known public host; the list is in tests/tidy/strangers.rs");
            findings.push(Finding::new(&file.path, index + 1, what));
        }
    }
    findings
}

/// Whether an absolute path below `folder` stands in the line.
fn names_folder(line: &str, folder: &str) -> bool {
    let start = format!("/{folder}/");
    line.match_indices(&start).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|letter| letter.is_alphanumeric() || "._-/}>$~*".contains(letter))
    })
}

/// The hosts of the URLs in a line; those still to be filled in are left out.
fn hosts(line: &str) -> impl Iterator<Item = &str> {
    ["http://", "https://"]
        .into_iter()
        .flat_map(move |scheme| line.split(scheme).skip(1))
        .filter_map(|rest| {
            let ends = |letter: char| !letter.is_alphanumeric() && !".-_[]{}<>$@".contains(letter);
            let host = rest.split(ends).next()?.trim_end_matches('.');
            let is_open = host.is_empty() || host.contains(['{', '<', '$', '[']);
            (!is_open).then_some(host)
        })
}

fn is_known(host: &str) -> bool {
    let is_address = host
        .chars()
        .all(|letter| letter.is_ascii_digit() || letter == '.');
    // Names kept free for examples and tests (RFC 2606), and words without a dot, which no public host is.
    let is_example = [".example", ".invalid", ".test"]
        .iter()
        .any(|end| host.ends_with(end))
        || host == "example.com"
        || !host.contains('.');
    is_address || is_example || HOSTS.contains(&host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> Vec<String> {
        findings(&File::new("README.md", line))
            .into_iter()
            .map(|finding| finding.what)
            .collect()
    }

    #[test]
    fn path_of_one_machine_is_found_and_a_url_or_relative_path_is_not() {
        let own = ["", "home", "ann", "data"].join("/");
        assert_eq!(
            found(&format!("cd {own}")),
            ["a path below /home exists on one machine only"]
        );
        assert!(found(&format!("my{own} and https://docs.rs{own}")).is_empty());
    }

    #[test]
    fn unknown_host_is_found_and_known_open_and_example_ones_are_not() {
        let unknown = ["https:", "", "mirror.corp.net", "simple"].join("/");
        assert_eq!(found(&unknown).len(), 1);
        for fine in [
            "https://docs.rs/tch",
            "http://127.0.0.1:7000",
            "http://{address}",
            "http://[::1]:1",
            "http://a.example.",
        ] {
            assert!(found(fine).is_empty(), "{fine}");
        }
    }
}
