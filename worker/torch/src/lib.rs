//! What tch lacks of libtorch, behind a safe face.
//!
//! Three floors, as in cudarc: `sys` declares the C interface of `shim/`, the modules above it turn its status into
//! [`TorchError`] and its pointers into owners. **Invariant:** with `worker/collective` the only crate with `unsafe`.

mod autocast;
mod flat;
mod gradient;
mod library;
mod sys;
mod update;

pub use autocast::{Autocast, forget_casts};
pub use flat::{Elements, FlatBuffer, Region};
pub use gradient::{GradientHooks, set_gradient};
pub use library::{EXPECTED_VERSION, LibraryError, check_library, library_version};
pub use update::{AdamWStep, FusedUpdate, SgdStep};

/// libtorch refused a call.
#[derive(Debug, thiserror::Error)]
#[error("libtorch could not {operation}: {message}")]
pub struct TorchError {
    /// What was tried, as a verb phrase.
    pub operation: &'static str,
    /// libtorch's own words.
    pub message: String,
}
