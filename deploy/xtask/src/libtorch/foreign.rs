//! A libtorch that somebody else installed: a Python torch, or the archive from pytorch.org.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::VERSION;

/// A libtorch of the right version.
pub(super) struct Found {
    /// The folder with `lib` and `include`, without links in its path.
    pub(super) folder: PathBuf,
    /// As it names itself, build tag included: `2.11.0+cu130`.
    pub(super) version: String,
}

/// Finds a libtorch at `path` or directly below it and checks version and completeness.
pub(super) fn inspect(path: &Path) -> Result<Found> {
    let candidates = [path.to_owned(), path.join("torch"), path.join("libtorch")];
    let Some(folder) = candidates
        .iter()
        .find(|folder| folder.join("lib/libtorch_cpu.so").is_file())
    else {
        bail!(
            "no libtorch at {}: lib/libtorch_cpu.so is neither there nor in torch/ or libtorch/ below it; name the \
             folder that `python3 -c 'import torch; print(torch.__path__[0])'` prints",
            path.display()
        );
    };
    let version = version_of(folder)?;
    if !is_right(&version) {
        bail!(
            "libtorch at {} is version {version}, but Convoy needs exactly {VERSION} (tch 0.24 works with no other): \
             name a folder of torch {VERSION}, or leave --libtorch and LIBTORCH away to have it fetched",
            folder.display()
        );
    }
    for needed in [
        "lib/libtorch.so",
        "lib/libc10.so",
        "include/torch/csrc/api/include/torch/torch.h",
    ] {
        if !folder.join(needed).is_file() {
            bail!(
                "libtorch {version} at {} is incomplete: {needed} is missing",
                folder.display()
            );
        }
    }
    let folder =
        fs::canonicalize(folder).with_context(|| format!("cannot resolve {}", folder.display()))?;
    Ok(Found { folder, version })
}

/// A Python torch says its version in `version.py`, the archive in `build-version`.
fn version_of(folder: &Path) -> Result<String> {
    if let Ok(text) = fs::read_to_string(folder.join("version.py")) {
        return in_version_py(&text).with_context(|| {
            format!(
                "{}/version.py has no line __version__ = '...'",
                folder.display()
            )
        });
    }
    let text = fs::read_to_string(folder.join("build-version")).with_context(|| {
        format!("cannot tell the version of libtorch at {}: neither version.py nor build-version can be read", folder.display())
    })?;
    Ok(text.trim().to_owned())
}

fn in_version_py(text: &str) -> Option<String> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("__version__")?.split_once('='))?
        .1;
    Some(value.trim().trim_matches(['\'', '"']).to_owned())
}

/// `2.11.0` with any build tag; never a pre-release.
fn is_right(version: &str) -> bool {
    version.split('+').next() == Some(VERSION)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Lays a `torch` folder of that version below `parent`.
    pub(in super::super) fn torch_of(parent: &Path, version: &str) -> PathBuf {
        let folder = parent.join("torch");
        let header = "include/torch/csrc/api/include/torch/torch.h";
        fs::create_dir_all(folder.join(header).parent().unwrap()).unwrap();
        fs::create_dir_all(folder.join("lib")).unwrap();
        for file in [
            "lib/libtorch_cpu.so",
            "lib/libtorch.so",
            "lib/libc10.so",
            header,
        ] {
            fs::write(folder.join(file), "").unwrap();
        }
        let text =
            format!("from typing import Optional\n\n__version__ = '{version}'\ndebug = False\n");
        fs::write(folder.join("version.py"), text).unwrap();
        folder
    }

    fn error_of(path: &Path) -> String {
        inspect(path)
            .err()
            .map(|error| format!("{error:#}"))
            .unwrap()
    }

    #[test]
    fn torch_is_found_by_its_own_folder_and_by_the_one_above() {
        let root = tempfile::tempdir().unwrap();
        let torch = torch_of(root.path(), "2.11.0+cu130");
        for path in [root.path(), &torch] {
            let found = inspect(path).unwrap();
            assert_eq!(found.version, "2.11.0+cu130");
            assert_eq!(found.folder, torch.canonicalize().unwrap());
        }
    }

    #[test]
    fn archive_of_libtorch_is_known_by_its_build_version() {
        let root = tempfile::tempdir().unwrap();
        let torch = torch_of(root.path(), "x");
        fs::remove_file(torch.join("version.py")).unwrap();
        fs::write(torch.join("build-version"), "2.11.0+cpu\n").unwrap();
        assert_eq!(inspect(&torch).unwrap().version, "2.11.0+cpu");
    }

    #[test]
    fn other_version_is_refused_with_both_versions_and_what_to_do() {
        for other in ["2.12.1+cu130", "2.11.1", "2.11.0a0+git70d99e9"] {
            let root = tempfile::tempdir().unwrap();
            torch_of(root.path(), other);
            let text = error_of(root.path());
            assert!(
                text.contains(other) && text.contains("exactly 2.11.0"),
                "{text}"
            );
            assert!(
                text.contains("leave --libtorch and LIBTORCH away"),
                "{text}"
            );
        }
    }

    #[test]
    fn empty_folder_unknown_version_and_missing_headers_are_told_apart() {
        let root = tempfile::tempdir().unwrap();
        assert!(error_of(root.path()).contains("no libtorch at"));
        let torch = torch_of(root.path(), VERSION);
        fs::remove_dir_all(torch.join("include")).unwrap();
        assert!(error_of(root.path()).contains("incomplete"));
        fs::write(torch.join("version.py"), "debug = False\n").unwrap();
        assert!(error_of(root.path()).contains("no line __version__"));
        fs::remove_file(torch.join("version.py")).unwrap();
        assert!(error_of(root.path()).contains("neither version.py nor build-version"));
    }
}
