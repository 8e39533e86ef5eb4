//! Clippy reads only the nearest `clippy.toml`, so every one below the root repeats the root's rules.

use crate::dependencies::PURE;
use crate::tree::{File, Finding};

const NAME: &str = "clippy.toml";

/// What keeps a pure crate from clocks, threads, the environment, files and unstable order.
const BANNED_IN_PURE: [&str; 7] = [
    "std::time::Instant::now",
    "std::time::SystemTime::now",
    "std::thread::spawn",
    "std::env::var",
    "std::fs::File::open",
    "std::collections::HashMap",
    "std::collections::HashSet",
];

/// Files that lack lines of the root's, pure crates without their bans, other crates that inherit those bans.
pub(crate) fn findings(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let root = files
        .iter()
        .find(|file| file.path == NAME)
        .map_or("", |file| file.text.as_str());
    for file in files
        .iter()
        .filter(|file| file.path.ends_with(&format!("/{NAME}")))
    {
        let has = |line: &str| file.text.lines().any(|own| own.trim() == line.trim());
        for line in root.lines().filter(|line| is_rule(line) && !has(line)) {
            findings.push(Finding::new(
                &file.path,
                0,
                format!("lacks the root's line `{}`", line.trim()),
            ));
        }
    }
    for manifest in files
        .iter()
        .filter(|file| file.path.ends_with("/Cargo.toml"))
    {
        let Some(name) = package_name(&manifest.text) else {
            continue;
        };
        let folder = manifest.path.trim_end_matches("/Cargo.toml");
        let (path, rules) = nearest(files, folder);
        let is_banned = |item: &&str| rules.contains(&format!("\"{item}\""));
        if PURE.contains(&name) {
            let lacking: Vec<_> = BANNED_IN_PURE
                .iter()
                .copied()
                .filter(|item| !is_banned(item))
                .collect();
            if !lacking.is_empty() {
                let what = format!(
                    "{name} is pure, but {path} does not ban {}",
                    lacking.join(", ")
                );
                findings.push(Finding::new(folder, 0, what));
            }
        } else if BANNED_IN_PURE.iter().any(is_banned) {
            let what =
                format!("{name} is not pure, but {path} treats it so: give it a {NAME} of its own");
            findings.push(Finding::new(folder, 0, what));
        }
    }
    findings
}

fn is_rule(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

fn package_name(manifest: &str) -> Option<&str> {
    let value = manifest
        .lines()
        .find_map(|line| line.strip_prefix("name = "))?;
    Some(value.trim().trim_matches('"'))
}

/// Path and text of the file that clippy would read for a crate in `folder`.
fn nearest<'a>(files: &'a [File], folder: &str) -> (String, &'a str) {
    let mut folder = folder;
    loop {
        let path = if folder.is_empty() {
            NAME.to_owned()
        } else {
            format!("{folder}/{NAME}")
        };
        if let Some(file) = files.iter().find(|file| file.path == path) {
            return (path, &file.text);
        }
        if folder.is_empty() {
            return (path, "");
        }
        folder = folder.rsplit_once('/').map_or("", |(parent, _)| parent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "too-many-lines-threshold = 60\n";

    fn pure_rules() -> String {
        let bans: Vec<_> = BANNED_IN_PURE
            .iter()
            .map(|item| format!("  {{ path = \"{item}\" }},\n"))
            .collect();
        format!("# why\n{ROOT}{}", bans.concat())
    }

    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| File::new(path, text))
            .collect();
        let found = findings(&files);
        assert_eq!(
            found.len(),
            expected.len(),
            "{}",
            found.iter().map(ToString::to_string).collect::<String>()
        );
        for (finding, part) in found.iter().zip(expected) {
            assert!(finding.to_string().contains(part), "{finding}");
        }
    }

    #[test]
    fn forgotten_line_of_the_root_is_found() {
        check(
            &[(NAME, ROOT), ("cli/clippy.toml", "# nothing\n")],
            &["lacks the root's line `too-many"],
        );
    }

    #[test]
    fn pure_crate_without_bans_is_found_and_one_with_them_is_fine() {
        let manifest = ("common/Cargo.toml", "[package]\nname = \"convoy-common\"\n");
        check(
            &[(NAME, ROOT), manifest],
            &["convoy-common is pure, but clippy.toml does not ban std::time"],
        );
        check(
            &[
                (NAME, ROOT),
                manifest,
                ("common/clippy.toml", &pure_rules()),
            ],
            &[],
        );
    }

    #[test]
    fn crate_below_a_pure_one_needs_a_file_of_its_own() {
        let rules = pure_rules();
        let files = [
            (NAME, ROOT),
            ("common/clippy.toml", rules.as_str()),
            (
                "common/client/Cargo.toml",
                "[package]\nname = \"convoy-client\"\n",
            ),
        ];
        check(
            &files,
            &["convoy-client is not pure, but common/clippy.toml treats it so"],
        );
    }
}
