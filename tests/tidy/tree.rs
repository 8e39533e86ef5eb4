//! The files of the tree, as the checks see them.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// One text file.
pub(crate) struct File {
    /// From the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// A made-up file.
    #[cfg(test)]
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// One offence.
pub(crate) struct Finding {
    /// A path from the root, or a crate.
    pub(crate) place: String,
    /// Line from 1, or 0 for the whole.
    pub(crate) line: usize,
    /// What is wrong and what to do instead.
    pub(crate) what: String,
}

impl Finding {
    pub(crate) fn new(place: &str, line: usize, what: impl Into<String>) -> Self {
        Self {
            place: place.to_owned(),
            line,
            what: what.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(out, "  {}: {}", self.place, self.what)
        } else {
            write!(out, "  {}:{}: {}", self.place, self.line, self.what)
        }
    }
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent()
        .expect("this crate lies in a folder of the root")
        .to_owned()
}

/// Every text file below `root` that git would not ignore.
pub(crate) fn files(root: &Path) -> Vec<File> {
    let ignored = fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
    let mut skipped: Vec<&str> = ignored
        .lines()
        .map(|line| line.trim_matches('/'))
        .filter(|line| !line.is_empty())
        .collect();
    skipped.push(".git");
    let mut found = Vec::new();
    collect(root, "", &skipped, &mut found);
    found
}

fn collect(folder: &Path, prefix: &str, skipped: &[&str], found: &mut Vec<File>) {
    let entries = fs::read_dir(folder).expect("a folder of the tree can be read");
    for entry in entries {
        let entry = entry.expect("a folder of the tree can be read");
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().expect("a file of the tree has a type");
        // Also files and links: `.git` is a file in a worktree.
        if skipped.contains(&path.as_str()) {
            continue;
        }
        if kind.is_dir() {
            collect(&entry.path(), &format!("{path}/"), skipped, found);
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            found.push(File { path, text });
        }
    }
}

#[test]
fn ignored_folders_and_binary_files_are_no_part_of_the_tree() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let write = |path: &str, bytes: &[u8]| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    };
    write(".gitignore", b"/target/\n");
    write(".git/config", b"x");
    write("target/debug/x.rs", b"x");
    write("src/target/kept.rs", b"x");
    write("image.png", &[0xff, 0xfe]);
    let mut paths: Vec<String> = files(root.path())
        .into_iter()
        .map(|file| file.path)
        .collect();
    paths.sort();
    assert_eq!(paths, [".gitignore", "src/target/kept.rs"]);
}

#[test]
fn git_file_of_a_worktree_is_no_part_of_the_tree() {
    let root = tempfile::tempdir().expect("a temporary folder");
    fs::write(root.path().join(".git"), "gitdir: elsewhere").expect("a file");
    assert!(files(root.path()).is_empty());
}
