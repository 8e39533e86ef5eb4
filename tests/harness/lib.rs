//! Starts clusters of real processes for tests and looks after them.
