//! One all-reduce as all ranks must agree on it.

use std::fmt;
use std::sync::Arc;

use crate::buffer::SharedBuffer;
use crate::collective::OpTag;
use crate::element::{Dtype, ReduceOp};

/// What must be the same at every rank before numbers flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Counts the operations of a collective, from 0.
    pub(crate) sequence: u64,
    pub(crate) tag: OpTag,
    pub(crate) dtype: Dtype,
    pub(crate) op: ReduceOp,
    /// Elements of the buffer.
    pub(crate) elements: u64,
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sequence,
            tag,
            dtype,
            op,
            elements,
        } = self;
        write!(
            f,
            "operation {sequence} ({tag}: {op} of {elements} {dtype})"
        )
    }
}

/// A header and the memory that it is about.
pub(crate) struct Operation {
    pub(crate) header: Header,
    pub(crate) buffer: Arc<dyn SharedBuffer>,
}
