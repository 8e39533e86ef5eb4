//! The record of a fetched folder, written last: what it holds and how large each file is.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

const NAME: &str = "installed.json";

/// Writes the record of every file below `folder`; `identity` names versions and hashes it was made from.
pub(crate) fn record(folder: &Path, identity: &str) -> Result<()> {
    let mut files = Map::new();
    collect(folder, Path::new(""), &mut files)?;
    let record = json!({"identity": identity, "files": files});
    let path = folder.join(NAME);
    fs::write(&path, format!("{record}\n"))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Says what is not as recorded, or nothing where the folder is what `identity` describes. Compares sizes, not
/// bytes: the bytes were checked before the record was written, and this runs on every command.
pub(crate) fn difference(folder: &Path, identity: &str) -> Option<String> {
    let Ok(text) = fs::read_to_string(folder.join(NAME)) else {
        return Some("not there yet".to_owned());
    };
    let Ok(record) = serde_json::from_str::<Value>(&text) else {
        return Some(format!("{NAME} is no JSON"));
    };
    if record["identity"] != identity {
        return Some("another version is there".to_owned());
    }
    let Some(files) = record["files"].as_object() else {
        return Some(format!("{NAME} lists no files"));
    };
    files.iter().find_map(|(name, recorded)| {
        let found = fs::metadata(folder.join(name)).map(|metadata| metadata.len());
        match found {
            Ok(bytes) if recorded.as_u64() == Some(bytes) => None,
            Ok(bytes) => Some(format!("{name} has {bytes} bytes instead of {recorded}")),
            Err(_) => Some(format!("{name} is missing")),
        }
    })
}

fn collect(folder: &Path, below: &Path, files: &mut Map<String, Value>) -> Result<()> {
    let here: PathBuf = folder.join(below);
    for entry in fs::read_dir(&here).with_context(|| format!("cannot read {}", here.display()))? {
        let entry = entry?;
        let name = below.join(entry.file_name());
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            collect(folder, &name, files)?;
        } else {
            files.insert(name.to_string_lossy().into_owned(), metadata.len().into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_of_two() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("lib")).unwrap();
        fs::write(folder.path().join("lib/a.so"), "12345").unwrap();
        fs::write(folder.path().join("version"), "1").unwrap();
        record(folder.path(), "one").unwrap();
        folder
    }

    #[test]
    fn recorded_folder_is_right_until_a_file_changes() {
        let folder = folder_of_two();
        assert_eq!(difference(folder.path(), "one"), None);
        fs::write(folder.path().join("lib/a.so"), "123").unwrap();
        let text = difference(folder.path(), "one").unwrap();
        assert_eq!(text, "lib/a.so has 3 bytes instead of 5");
        fs::remove_file(folder.path().join("lib/a.so")).unwrap();
        assert_eq!(
            difference(folder.path(), "one").unwrap(),
            "lib/a.so is missing"
        );
    }

    #[test]
    fn another_identity_or_no_record_is_not_right() {
        let folder = folder_of_two();
        assert_eq!(
            difference(folder.path(), "two").unwrap(),
            "another version is there"
        );
        fs::write(folder.path().join(NAME), "{").unwrap();
        assert!(
            difference(folder.path(), "one")
                .unwrap()
                .contains("no JSON")
        );
        fs::remove_file(folder.path().join(NAME)).unwrap();
        assert_eq!(difference(folder.path(), "one").unwrap(), "not there yet");
    }
}
