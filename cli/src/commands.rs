//! The commands besides `run` and `bench`.

mod checkpoint;
mod cluster;
mod spec;

pub(crate) use checkpoint::{export, show};
pub(crate) use cluster::cluster;
pub(crate) use spec::{schema, validate};
