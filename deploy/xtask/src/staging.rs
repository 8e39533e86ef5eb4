//! Folders that appear whole or not at all, and the room they need.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context, Result, bail};
use convoy_output::notice;

/// Names of unfinished folders begin so; the next run removes them.
const PREFIX: &str = ".partial-";

/// Held while a run changes what is fetched, so that two runs cannot disturb each other; freed with the process.
pub(crate) struct Lock {
    _file: File,
}

/// Waits for another run to end, then clears what interrupted ones left in `folder`.
pub(crate) fn lock(folder: &Path) -> Result<Lock> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let path = folder.join(".lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    if file.try_lock().is_err() {
        notice(format_args!(
            "    waiting for another cargo xtask to finish with {}",
            folder.display()
        ));
        file.lock()
            .with_context(|| format!("cannot lock {}", path.display()))?;
    }
    clear_unfinished(folder)?;
    Ok(Lock { _file: file })
}

fn clear_unfinished(folder: &Path) -> Result<()> {
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        let unfinished = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        if unfinished {
            remove(&path)?;
        }
    }
    Ok(())
}

/// Removes a file, link or folder; what is not there is fine.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    let removed = if metadata.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    removed.with_context(|| format!("cannot remove {}", path.display()))
}

/// A folder under construction beside its final place; dropping it unfinished removes it.
pub(crate) struct Staging {
    folder: PathBuf,
    place: PathBuf,
}

impl Staging {
    /// Begins what will become `place`.
    pub(crate) fn begin(place: &Path) -> Result<Self> {
        let parent = place
            .parent()
            .with_context(|| format!("{} has no parent", place.display()))?;
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let folder = parent.join(format!("{PREFIX}{name}-{}", process::id()));
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self {
            folder,
            place: place.to_owned(),
        })
    }

    /// Where to build.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Creates and returns a folder inside.
    pub(crate) fn subfolder(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(path)
    }

    /// Moves the subfolder `finished` to the final place, replacing what was there, and drops the rest.
    pub(crate) fn commit(self, finished: &Path) -> Result<()> {
        remove(&self.place)?;
        fs::rename(finished, &self.place).with_context(|| {
            format!(
                "cannot move {} to {}",
                finished.display(),
                self.place.display()
            )
        })
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // A failure here leaves what the next run clears.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Makes `link` point to `target` in one step, replacing an older link.
pub(crate) fn replace_link(link: &Path, target: &Path) -> Result<()> {
    let name = link.file_name().unwrap_or_default().to_string_lossy();
    let new = link.with_file_name(format!("{PREFIX}{name}-{}", process::id()));
    remove(&new)?;
    std::os::unix::fs::symlink(target, &new)
        .and_then(|()| fs::rename(&new, link))
        .with_context(|| format!("cannot link {} to {}", link.display(), target.display()))
}

/// Refuses where the file system of `folder` has fewer than `needed_bytes` free.
pub(crate) fn require_room(folder: &Path, needed_bytes: u64, purpose: &str) -> Result<()> {
    let statistics = rustix::fs::statvfs(folder)
        .with_context(|| format!("cannot read the free space at {}", folder.display()))?;
    let free_bytes = statistics.f_bavail.saturating_mul(statistics.f_frsize);
    if free_bytes >= needed_bytes {
        return Ok(());
    }
    bail!(
        "{purpose} needs {} MB free at {}, but only {} MB are: make room, then run the command again",
        needed_bytes / 1_000_000,
        folder.display(),
        free_bytes / 1_000_000
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().flatten();
        let mut names: Vec<_> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn committed_folder_replaces_the_old_one_and_leaves_nothing_beside_it() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("slim");
        fs::create_dir(&place).unwrap();
        fs::write(place.join("old"), "").unwrap();
        let staging = Staging::begin(&place).unwrap();
        let finished = staging.subfolder("unpacked").unwrap();
        fs::write(finished.join("new"), "").unwrap();
        staging.subfolder("wheels").unwrap();
        staging.commit(&finished).unwrap();
        assert_eq!(names(root.path()), ["slim"]);
        assert_eq!(names(&place), ["new"]);
    }

    #[test]
    fn abandoned_folder_vanishes_and_the_old_one_stays() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("slim");
        fs::create_dir(&place).unwrap();
        drop(Staging::begin(&place).unwrap());
        assert_eq!(names(root.path()), ["slim"]);
    }

    #[test]
    fn what_a_killed_run_left_is_cleared_by_the_next_one() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join(".partial-slim-7/unpacked")).unwrap();
        fs::write(root.path().join(".partial-slim-7/unpacked/half"), "x").unwrap();
        fs::create_dir(root.path().join("slim")).unwrap();
        let _lock = lock(root.path()).unwrap();
        assert_eq!(names(root.path()), [".lock", "slim"]);
    }

    #[test]
    fn link_is_replaced_in_one_step_but_a_real_folder_is_not() {
        let root = tempfile::tempdir().unwrap();
        let link = root.path().join("torch");
        replace_link(&link, Path::new("one")).unwrap();
        replace_link(&link, Path::new("two")).unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("two"));
        fs::remove_file(&link).unwrap();
        fs::create_dir(&link).unwrap();
        assert!(replace_link(&link, Path::new("three")).is_err());
        assert!(link.is_dir());
    }

    #[test]
    fn too_little_room_is_refused_with_both_numbers() {
        let root = tempfile::tempdir().unwrap();
        require_room(root.path(), 1, "a test").unwrap();
        let text = require_room(root.path(), u64::MAX, "fetching x")
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("fetching x needs 18446744073709 MB"),
            "{text}"
        );
        assert!(text.contains("MB are"), "{text}");
    }
}
