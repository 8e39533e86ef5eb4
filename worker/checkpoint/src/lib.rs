//! Checkpoint slices, manifests, verification and export; no libtorch.
