//! Checkpoint slices, manifests, verification and export; no libtorch.
//!
//! A checkpoint is a folder `ROOT/JOB/step-00001170` with one safetensors file per rank, its *slice*, and `manifest.json`,
//! which names every slice with its length and BLAKE3. Each tensor is in exactly one slice. Its name says what it is:
//! `model.<name>` for parameters and buffers, `optimizer.<what>.<name>`, `state.<what>`. If the job keeps an average of the
//! weights, `model.<name>` is the average, which evaluation uses, and `trained.<name>` is what training goes on with.
//!
//! **Invariant:** no file of a checkpoint is ever replaced. Names of slices carry generation, attempt and rank and are
//! created only if absent, so that a worker that was evicted and doesn't know it can't change what others wrote.
//! A folder without a manifest is no checkpoint: the manifest is written after the coordinator has committed it.

mod container;
mod digest;
mod error;
mod export;
mod layout;
mod manifest;
mod placement;
mod slice;
mod stored;
mod tensor;
mod weights;
mod weights_file;

#[cfg(test)]
mod tests;

pub use digest::Digest;
pub use error::CheckpointError;
pub use export::{ExportReport, Overwrite, export};
pub use layout::{MANIFEST_FILE, checkpoint_folder, find_manifest, latest};
pub use manifest::{FORMAT_VERSION, Manifest, read_manifest, write_manifest};
pub use placement::assign_to_ranks;
pub use slice::{SliceIdentity, SliceRecord, write_slice};
pub use stored::{OwnedTensor, StoredCheckpoint, verify};
pub use tensor::{Dtype, TensorView};
pub use weights::{WeightsHasher, weights_sha256};
pub use weights_file::{TensorDescription, WeightsFile};

/// Prefix of the names of parameters and buffers inside slices.
pub const MODEL_PREFIX: &str = "model.";
