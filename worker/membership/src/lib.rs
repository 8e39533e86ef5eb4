//! The worker's side of the membership protocol; pure.
