//! Where checkpoints lie.

use std::io;
use std::path::{Path, PathBuf};

use convoy_common::ids::{JobId, StepIndex};
use convoy_files::FileError;

use crate::error::CheckpointError;
use crate::manifest::{Manifest, read_manifest};

/// Name of the manifest in a checkpoint's folder.
pub const MANIFEST_FILE: &str = "manifest.json";

const STEP_PREFIX: &str = "step-";

/// The folder of the checkpoint of `job` after `step` updates: `ROOT/JOB/step-00001170`.
#[must_use]
pub fn checkpoint_folder(root: &Path, job: &JobId, step: StepIndex) -> PathBuf {
    // Padded, so that a listing by name is a listing by step.
    root.join(job.as_str())
        .join(format!("{STEP_PREFIX}{step:08}"))
}

/// The checkpoint of `job` with the most steps that has a manifest; its slices are not verified.
///
/// # Errors
/// If a folder or the newest manifest can't be read.
pub fn latest(root: &Path, job: &JobId) -> Result<Option<(PathBuf, Manifest)>, CheckpointError> {
    match newest_step(&root.join(job.as_str()))? {
        Some(folder) => Ok(Some((folder.clone(), read_manifest(&folder)?))),
        None => Ok(None),
    }
}

/// The manifest that `path` means: the file itself, the one in a checkpoint's folder, or the newest of a job's folder.
///
/// # Errors
/// If there is none, or if the folder can't be read.
pub fn find_manifest(path: &Path) -> Result<PathBuf, CheckpointError> {
    if !path.is_dir() {
        return if path.exists() {
            Ok(path.to_path_buf())
        } else {
            let words = "there is no such file or folder; name a checkpoint's folder, its manifest, or a job's folder";
            let missing = io::Error::new(io::ErrorKind::NotFound, words);
            Err(FileError::new("find checkpoint", path, missing).into())
        };
    }
    let own = path.join(MANIFEST_FILE);
    if own.exists() {
        return Ok(own);
    }
    let newest = newest_step(path)?.ok_or_else(|| CheckpointError::NoCheckpoint {
        path: path.to_path_buf(),
    })?;
    Ok(newest.join(MANIFEST_FILE))
}

fn newest_step(job_folder: &Path) -> Result<Option<PathBuf>, FileError> {
    let unreadable = |source| FileError::new("read folder", job_folder, source);
    let entries = match std::fs::read_dir(job_folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let mut newest: Option<(u64, PathBuf)> = None;
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let step = name
            .and_then(|name| name.strip_prefix(STEP_PREFIX))
            .and_then(|digits| digits.parse().ok());
        let Some(step) = step else { continue };
        if path.join(MANIFEST_FILE).exists() && newest.as_ref().is_none_or(|(best, _)| step > *best)
        {
            newest = Some((step, path));
        }
    }
    Ok(newest.map(|(_, path)| path))
}
