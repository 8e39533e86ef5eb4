//! The commands that need nothing running.

mod checkpoint;
mod spec;

pub(crate) use checkpoint::{export, show};
pub(crate) use spec::{schema, validate};
