//! What tch lacks of libtorch, behind a safe face.
//!
//! Three floors, as in cudarc: `sys` declares the C interface of `shim/`, the modules above it turn its status into
//! [`TorchError`] and its pointers into owners. **Invariant:** with `worker/collective` the only crate with `unsafe`.
//!
//! Whoever links this crate has jemalloc as its C allocator, libtorch's tensors included. A step frees its activations and the next
//! asks for as much again; glibc gives large blocks back to the kernel each time, which then clears every page anew, and keeping
//! them (`mallopt(3)`) tears its heap apart, since what aligned requests leave behind fits no later one.

// Replaces malloc and its kin by being linked; how it is set up stands in the shim.
use tikv_jemalloc_sys as _;

mod autocast;
mod convolve;
mod fixed_point;
mod flat;
mod gradient;
mod library;
mod normalise;
mod sys;
mod update;

pub use autocast::{Autocast, forget_casts};
pub use convolve::convolve_3x3;
pub use fixed_point::FixedSums;
pub use flat::{Elements, FlatBuffer, Number, Region};
pub use gradient::{GradientHooks, set_gradient};
pub use library::{EXPECTED_VERSION, LibraryError, check_library, library_version};
pub use normalise::{BatchNorm, norm_add_relu, norm_pool_relu, norm_relu};
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
