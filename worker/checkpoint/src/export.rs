//! One file of a model's tensors, for everyone else's tools.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use convoy_common::ids::{EpochIndex, JobId, StepIndex};
use convoy_files::{Created, FileError};
use serde::Serialize;

use crate::MODEL_PREFIX;
use crate::container::{self, Entry};
use crate::digest::Digest;
use crate::error::CheckpointError;
use crate::layout::find_manifest;
use crate::manifest::{Manifest, read_manifest};
use crate::stored::StoredCheckpoint;
use crate::weights::WeightsHasher;

/// What to do with a file that has the output's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// Leave it and report an error.
    Refuse,
    /// Put the new one in its place, atomically.
    Replace,
}

/// What was exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExportReport {
    /// The job.
    pub job: JobId,
    /// Optimizer updates that are in it.
    pub step: StepIndex,
    /// Completed epochs.
    pub epoch: EpochIndex,
    /// Parameters and buffers.
    pub tensors: usize,
    /// Elements of all of them.
    pub elements: u64,
    /// Digest that was checked, see [`WeightsHasher`].
    pub weights_sha256: Digest,
    /// The file that was written.
    pub file: PathBuf,
    /// Its length.
    pub bytes: u64,
}

/// Writes the model of a checkpoint (its manifest, its folder, or its job's folder for the newest) as one safetensors file
/// to `out`: parameters and buffers by their own names, without `model.`; with job, step and digest as metadata.
/// Every slice's digest and the digest of the weights are checked before anything is written.
///
/// # Errors
/// If the checkpoint is not whole, holds no model, or `out` can't be written; if `out` exists and may not be replaced.
pub fn export(
    checkpoint: &Path,
    out: &Path,
    overwrite: Overwrite,
) -> Result<ExportReport, CheckpointError> {
    if overwrite == Overwrite::Refuse && out.exists() {
        return Err(CheckpointError::OutputExists {
            path: out.to_path_buf(),
        });
    }
    let manifest_path = find_manifest(checkpoint)?;
    let manifest = read_manifest(&manifest_path)?;
    let stored =
        StoredCheckpoint::open(manifest_path.parent().unwrap_or(Path::new(".")), &manifest)?;
    let names: Vec<&str> = stored.names(MODEL_PREFIX).collect();
    if names.is_empty() {
        return Err(CheckpointError::NoModel {
            folder: stored.folder().to_path_buf(),
        });
    }
    let entries = entries(&stored, &names)?;
    check_weights(&stored, &names, &manifest)?;
    let mut bytes = 0;
    let write = |writer: &mut dyn Write| -> io::Result<()> {
        bytes = write_model(writer, &stored, &names, &entries, &manifest)?;
        Ok(())
    };
    publish(out, overwrite, write)?;
    Ok(ExportReport {
        job: manifest.job,
        step: manifest.step,
        epoch: manifest.epoch,
        tensors: entries.len(),
        elements: entries
            .iter()
            .map(|entry| entry.shape.iter().map(|n| *n as u64).product::<u64>())
            .sum(),
        weights_sha256: manifest.weights_sha256,
        file: out.to_path_buf(),
        bytes,
    })
}

fn publish(
    out: &Path,
    overwrite: Overwrite,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), CheckpointError> {
    match overwrite {
        Overwrite::Replace => convoy_files::replace(out, |writer| write(writer))?,
        Overwrite::Refuse => match convoy_files::create_new(out, |writer| write(writer))? {
            Created::New => {}
            Created::AlreadyThere => {
                return Err(CheckpointError::OutputExists {
                    path: out.to_path_buf(),
                });
            }
        },
    }
    Ok(())
}

fn entries(stored: &StoredCheckpoint, names: &[&str]) -> Result<Vec<Entry>, CheckpointError> {
    let found = names
        .iter()
        .map(|name| stored.entry(name))
        .collect::<Result<Vec<_>, _>>()?;
    let sizes = found.iter().map(|entry| {
        (
            exported(&entry.name),
            entry.dtype,
            entry.shape.as_slice(),
            entry.end - entry.begin,
        )
    });
    Ok(container::lay_out(sizes))
}

fn check_weights(
    stored: &StoredCheckpoint,
    names: &[&str],
    manifest: &Manifest,
) -> Result<(), CheckpointError> {
    let mut hasher = WeightsHasher::default();
    for name in names {
        let entry = stored.entry(name)?;
        hasher.tensor(exported(name), entry.dtype, &entry.shape);
        io::copy(&mut stored.reader(name)?, &mut hasher)
            .map_err(|source| FileError::new("read checkpoint in", stored.folder(), source))?;
    }
    let found = hasher.finish();
    if found == manifest.weights_sha256 {
        return Ok(());
    }
    let folder = stored.folder().to_path_buf();
    Err(CheckpointError::WeightsDigest {
        folder,
        found,
        expected: manifest.weights_sha256,
    })
}

/// Returns the bytes written.
fn write_model(
    writer: &mut dyn Write,
    stored: &StoredCheckpoint,
    names: &[&str],
    entries: &[Entry],
    manifest: &Manifest,
) -> io::Result<u64> {
    let metadata = BTreeMap::from([
        // What the transformers library asks for.
        ("format".to_owned(), "pt".to_owned()),
        ("job".to_owned(), manifest.job.to_string()),
        ("step".to_owned(), manifest.step.to_string()),
        ("epoch".to_owned(), manifest.epoch.to_string()),
        (
            "weights_sha256".to_owned(),
            manifest.weights_sha256.to_string(),
        ),
    ]);
    let mut counting = Counting {
        inner: writer,
        bytes: 0,
    };
    container::write_header(&mut counting, &metadata, entries)?;
    for name in names {
        io::copy(
            &mut stored.reader(name).map_err(io::Error::other)?,
            &mut counting,
        )?;
    }
    Ok(counting.bytes)
}

fn exported(name: &str) -> &str {
    name.strip_prefix(MODEL_PREFIX).unwrap_or(name)
}

struct Counting<'w> {
    inner: &'w mut dyn Write,
    bytes: u64,
}

impl Write for Counting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
