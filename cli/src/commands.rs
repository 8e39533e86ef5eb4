//! The commands besides `run` and `bench`.

mod cancel;
mod checkpoint;
mod cluster;
mod describe;
mod job_error;
mod logs;
mod nodes;
mod ps;
mod resubmit;
mod spec;
mod submit;

use std::future::Future;

use anyhow::Context;

pub(crate) use cancel::cancel;
pub(crate) use checkpoint::{export, show};
pub(crate) use cluster::cluster;
pub(crate) use describe::describe;
pub(crate) use logs::logs;
pub(crate) use nodes::nodes;
pub(crate) use ps::ps;
pub(crate) use resubmit::resubmit;
pub(crate) use spec::{schema, validate};
pub(crate) use submit::submit;

/// Runs what a command asks of a cluster.
fn block_on<T>(asking: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(asking)
}
