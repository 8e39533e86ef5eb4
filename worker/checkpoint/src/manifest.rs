//! What makes a folder of slices a checkpoint.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use convoy_common::ids::{Attempt, EpochIndex, Generation, JobId, StepIndex};
use convoy_files::{Created, FileError};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::CheckpointError;
use crate::layout::{MANIFEST_FILE, find_manifest};
use crate::slice::SliceRecord;

/// Version of slices and manifests. A reader refuses every other one.
pub const FORMAT_VERSION: u32 = 1;

/// A manifest of 4096 slices has less than 1 MiB; a larger file is something else.
const MAX_MANIFEST_BYTES: u64 = 16 << 20;

/// A committed checkpoint: written beside its slices by rank 0 after the coordinator's commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// See [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The job.
    pub job: JobId,
    /// Optimizer updates that are in it.
    pub step: StepIndex,
    /// Completed epochs.
    pub epoch: EpochIndex,
    /// The generation that ran the step before it.
    pub generation: Generation,
    /// The attempt that formed the generation.
    pub attempt: Attempt,
    /// One slice of each rank, in the order of ranks.
    pub slices: Vec<SliceRecord>,
    /// Digest of parameters and buffers, see [`crate::WeightsHasher`].
    pub weights_sha256: Digest,
    /// Whether the job ended with it.
    #[serde(rename = "final")]
    pub is_final: bool,
}

impl Manifest {
    /// What is wrong with a manifest of the right version, if anything.
    fn check(&self) -> Result<(), String> {
        if self.slices.is_empty() {
            return Err("it names no slices".to_owned());
        }
        for (index, slice) in self.slices.iter().enumerate() {
            if slice.rank.0 as usize != index {
                return Err(format!(
                    "slice {index} is of rank {}; slices must be in the order of ranks",
                    slice.rank
                ));
            }
            // A name with a separator could lead out of the folder.
            if Path::new(&slice.file).file_name() != Some(slice.file.as_ref()) {
                return Err(format!(
                    "slice {index} has the file name {:?}; it must be a name without folders",
                    slice.file
                ));
            }
        }
        Ok(())
    }
}

/// Writes `manifest` into `folder`, whose slices are there already, and returns its path. The same manifest being there
/// already is fine.
///
/// # Errors
/// If it can't be written, if it is not consistent, or if another manifest is there.
pub fn write_manifest(folder: &Path, manifest: &Manifest) -> Result<PathBuf, CheckpointError> {
    let path = folder.join(MANIFEST_FILE);
    manifest
        .check()
        .map_err(|reason| CheckpointError::ManifestFormat {
            path: path.clone(),
            reason,
        })?;
    let mut json =
        serde_json::to_vec_pretty(manifest).map_err(|error| CheckpointError::ManifestFormat {
            path: path.clone(),
            reason: error.to_string(),
        })?;
    json.push(b'\n');
    match convoy_files::create_new(&path, |writer| writer.write_all(&json))? {
        Created::New => Ok(path),
        Created::AlreadyThere if read(&path)? == json => Ok(path),
        Created::AlreadyThere => Err(CheckpointError::ManifestTaken { path }),
    }
}

/// Reads and checks a manifest; `path` may be the file or what [`find_manifest`] finds it by.
///
/// # Errors
/// If there is none, if it can't be read, if it has another version or is not consistent.
pub fn read_manifest(path: &Path) -> Result<Manifest, CheckpointError> {
    /// Read before all else, since another version may have other fields.
    #[derive(Deserialize)]
    struct Version {
        format_version: u32,
    }
    let path = find_manifest(path)?;
    let json = read(&path)?;
    let invalid = |reason: String| CheckpointError::ManifestFormat {
        path: path.clone(),
        reason,
    };
    let version: Version =
        serde_json::from_slice(&json).map_err(|error| invalid(error.to_string()))?;
    if version.format_version != FORMAT_VERSION {
        let found = version.format_version;
        return Err(CheckpointError::ManifestVersion {
            path,
            found,
            supported: FORMAT_VERSION,
        });
    }
    let manifest: Manifest =
        serde_json::from_slice(&json).map_err(|error| invalid(error.to_string()))?;
    manifest.check().map_err(invalid)?;
    Ok(manifest)
}

fn read(path: &Path) -> Result<Vec<u8>, CheckpointError> {
    let unreadable = |source| FileError::new("read", path, source);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_MANIFEST_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > MAX_MANIFEST_BYTES {
        let reason = format!("it has more than {MAX_MANIFEST_BYTES} bytes");
        return Err(CheckpointError::ManifestFormat {
            path: path.to_path_buf(),
            reason,
        });
    }
    Ok(bytes)
}
