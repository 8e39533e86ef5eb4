//! One rank's part of a checkpoint.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use convoy_common::ids::{Attempt, EpochIndex, Generation, JobId, Rank, StepIndex};
use convoy_files::{Created, FileError};
use serde::{Deserialize, Serialize};

use crate::container;
use crate::digest::Digest;
use crate::error::CheckpointError;
use crate::manifest::FORMAT_VERSION;
use crate::tensor::{TensorView, sorted};

/// Enough that BLAKE3 runs at full speed, little enough to stay in the cache.
const READ_BYTES: usize = 256 * 1024;

/// Whose slice of what it is; becomes the file's name and metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceIdentity {
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
    /// Who writes.
    pub rank: Rank,
    /// How many write.
    pub world: u32,
}

/// A slice as the manifest names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SliceRecord {
    /// Who wrote it.
    pub rank: Rank,
    /// Name of the file in the checkpoint's folder.
    pub file: String,
    /// Length of the file.
    pub bytes: u64,
    /// BLAKE3 of the file.
    pub blake3: Digest,
}

impl SliceIdentity {
    /// Name of the slice's file. Generation, attempt and rank make it one that no other writer uses.
    #[must_use]
    pub fn file_name(&self) -> String {
        let Self {
            generation,
            attempt,
            rank,
            world,
            ..
        } = self;
        format!("slice-g{generation:06}-a{attempt}-r{rank:04}-of-{world:04}.safetensors")
    }

    fn metadata(&self, more: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut metadata = more.clone();
        let own = [
            ("format_version", FORMAT_VERSION.to_string()),
            ("job", self.job.to_string()),
            ("step", self.step.to_string()),
            ("epoch", self.epoch.to_string()),
            ("generation", self.generation.to_string()),
            ("attempt", self.attempt.to_string()),
            ("rank", self.rank.to_string()),
            ("world", self.world.to_string()),
        ];
        metadata.extend(own.map(|(key, value)| (key.to_owned(), value)));
        metadata
    }
}

/// Writes `tensors` (possibly none) as the slice `identity` into `folder`, which is created if it's missing. `metadata` is
/// stored beside what the identity says. Durable when it returns. If the very same slice is there already, that's fine.
///
/// # Errors
/// If a tensor's size is wrong or a name is there twice; if the file can't be written, and then no part of it remains; if
/// another slice has this name.
pub fn write_slice(
    folder: &Path,
    identity: &SliceIdentity,
    tensors: &[TensorView<'_>],
    metadata: &BTreeMap<String, String>,
) -> Result<SliceRecord, CheckpointError> {
    let tensors = sorted(tensors)?;
    let metadata = identity.metadata(metadata);
    convoy_files::ensure_folder(folder)?;
    let file = identity.file_name();
    let path = folder.join(&file);
    let mut written = None;
    let created = convoy_files::create_new(&path, |writer| {
        let mut hashing = Hashing::new(writer);
        container::write_tensors(&mut hashing, &metadata, &tensors)?;
        written = Some(hashing.finish());
        Ok(())
    })?;
    let (bytes, blake3) = match (created, written) {
        (Created::New, Some(written)) => written,
        (Created::New | Created::AlreadyThere, _) => {
            let mut hashing = Hashing::new(io::sink());
            container::write_tensors(&mut hashing, &metadata, &tensors)
                .map_err(|source| FileError::new("write", &path, source))?;
            let (own_bytes, own) = hashing.finish();
            let (found_bytes, found) = digest_of_file(&path)?;
            if (found_bytes, found) != (own_bytes, own) {
                return Err(CheckpointError::SliceTaken {
                    path,
                    found,
                    found_bytes,
                    own,
                    own_bytes,
                });
            }
            (own_bytes, own)
        }
    };
    Ok(SliceRecord {
        rank: identity.rank,
        file,
        bytes,
        blake3,
    })
}

/// Length and BLAKE3 of a file.
pub(crate) fn digest_of_file(path: &Path) -> Result<(u64, Digest), FileError> {
    let unreadable = |source: io::Error| FileError::new("read", path, source);
    let mut file = File::open(path).map_err(|source| FileError::new("open", path, source))?;
    let mut hashing = Hashing::new(io::sink());
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = file.read(&mut buffer).map_err(unreadable)?;
        if count == 0 {
            return Ok(hashing.finish());
        }
        hashing.write_all(&buffer[..count]).map_err(unreadable)?;
    }
}

/// Hashes and counts what goes through.
struct Hashing<W> {
    inner: W,
    hasher: blake3::Hasher,
}

impl<W: Write> Hashing<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            hasher: blake3::Hasher::new(),
        }
    }

    fn finish(self) -> (u64, Digest) {
        (self.hasher.count(), Digest(self.hasher.finalize().into()))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
