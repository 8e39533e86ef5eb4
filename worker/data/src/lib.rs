//! Dataset readers, augmentation and the pipeline that prepares batches ahead of the step; no libtorch.
