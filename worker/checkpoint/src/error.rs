//! What can be wrong with a checkpoint.

use std::path::PathBuf;

use convoy_files::FileError;

use crate::digest::Digest;
use crate::tensor::Dtype;

/// A checkpoint that can't be written, read or trusted.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A file can't be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A tensor's bytes don't fit its shape.
    #[error(
        "tensor {name:?} of type {dtype:?} and shape {shape:?} takes {expected} bytes and was given {actual}"
    )]
    TensorSize {
        /// Name of the tensor.
        name: String,
        /// Its element type.
        dtype: Dtype,
        /// Its shape.
        shape: Vec<usize>,
        /// Bytes that type and shape make.
        expected: usize,
        /// Bytes it has.
        actual: usize,
    },
    /// Two tensors of a checkpoint have one name.
    #[error("tensor {name:?} is there twice")]
    DuplicateTensor {
        /// The name.
        name: String,
    },
    /// A tensor that was asked for is in no slice.
    #[error("{} has no tensor {name:?}", folder.display())]
    NoTensor {
        /// The checkpoint's folder, or the file of weights.
        folder: PathBuf,
        /// The name.
        name: String,
    },
    /// Another process wrote another slice under this name.
    #[error(
        "{} is already there with BLAKE3 {found} and {found_bytes} bytes; this worker would write {own} and {own_bytes} \
         bytes: slices are never replaced", path.display()
    )]
    SliceTaken {
        /// The slice.
        path: PathBuf,
        /// Digest of the file that is there.
        found: Digest,
        /// Its length.
        found_bytes: u64,
        /// Digest of what was to be written.
        own: Digest,
        /// Its length.
        own_bytes: u64,
    },
    /// Another manifest has the name.
    #[error("{} is already there with other content: manifests are never replaced", path.display())]
    ManifestTaken {
        /// The manifest.
        path: PathBuf,
    },
    /// The manifest is no manifest.
    #[error("{} is no manifest of a checkpoint: {reason}", path.display())]
    ManifestFormat {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The manifest was written by another version of Convoy.
    #[error("{} has format version {found}; this Convoy reads version {supported}", path.display())]
    ManifestVersion {
        /// The manifest.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        supported: u32,
    },
    /// A slice that the manifest names is not there.
    #[error("slice {} is missing; the manifest says it has {bytes} bytes", path.display())]
    SliceMissing {
        /// Where it should be.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// A slice was cut or grew.
    #[error("slice {} has {found} bytes; the manifest says {expected}", path.display())]
    SliceSize {
        /// The slice.
        path: PathBuf,
        /// Its length.
        found: u64,
        /// What the manifest says.
        expected: u64,
    },
    /// A slice was changed.
    #[error("slice {} has BLAKE3 {found}; the manifest says {expected}: it was changed or its disk is failing", path.display())]
    SliceDigest {
        /// The slice.
        path: PathBuf,
        /// Its digest.
        found: Digest,
        /// What the manifest says.
        expected: Digest,
    },
    /// A slice is no safetensors file.
    #[error("slice {} is not readable as safetensors: {reason}", path.display())]
    SliceFormat {
        /// The slice.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file of weights is none, or not whole.
    #[error("{} is not readable as safetensors: {reason}", path.display())]
    WeightsFormat {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The slices don't add up to the weights that were reported.
    #[error("the weights in {} have SHA-256 {found}; the manifest says {expected}", folder.display())]
    WeightsDigest {
        /// The checkpoint's folder.
        folder: PathBuf,
        /// Digest of the tensors in the slices.
        found: Digest,
        /// What the manifest says.
        expected: Digest,
    },
    /// There is nothing to export.
    #[error("checkpoint {} holds no tensors of a model", folder.display())]
    NoModel {
        /// The checkpoint's folder.
        folder: PathBuf,
    },
    /// The output is there and was not to be replaced.
    #[error("{} is already there: name another file or say --force", path.display())]
    OutputExists {
        /// The output file.
        path: PathBuf,
    },
    /// Neither a manifest nor a folder with one.
    #[error("{} is neither a manifest nor a folder of a checkpoint (with manifest.json) or of a job (with step-... folders)", path.display())]
    NoCheckpoint {
        /// What was given.
        path: PathBuf,
    },
}
