//! Dataset readers, augmentation and the pipeline that prepares batches ahead of the step; no libtorch.
//!
//! From the file to the step: [`open`] checks and maps the files of a spec into [`Splits`]; [`job_requests`] says which
//! positions a worker computes, epochs and evaluations in turn; a [`Pipeline`] turns each [`BatchRequest`] into a [`Batch`]
//! of normalised floats on threads of its own, from the job's first step to its last evaluation.
//!
//! **Invariant:** what a batch holds is a function of the job's seed, the request and the files. Neither the worker, nor the
//! number of workers, threads or batches ahead appears in it.
//!
//! **Boundary:** files are read, and a `.gz` is decompressed beside itself; nothing else is written. A file must keep its
//! length while a job runs: a mapped file that is cut short ends the process with SIGBUS.

mod aligned;
mod batch;
mod cifar;
mod dataset;
mod error;
mod idx;
mod pipeline;
mod requests;
mod splits;
mod storage;
pub mod synthetic;
mod transform;

pub use aligned::{ALIGNMENT_BYTES, AlignedFloats};
pub use batch::{Batch, BatchMaker, BatchRequest, SampleOrdering, Split};
pub use dataset::{Dataset, ImageShape, Sample};
pub use error::{DataError, FileProblem};
pub use idx::MAX_IMAGE_SIDE_PX;
pub use pipeline::Pipeline;
pub use requests::{Evaluation, evaluation_requests, job_requests, training_requests};
pub use splits::{Fingerprint, Splits, open};
pub use storage::{MAX_DECOMPRESSED_BYTES, MAX_IN_MEMORY_BYTES};
pub use transform::{Layout, Transform};
