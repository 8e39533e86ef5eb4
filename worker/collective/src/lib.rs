//! All-reduce groups: a ring over TCP that can be aborted, and the same thing inside one process.
//!
//! **Boundary:** this crate moves and sums numbers. It knows neither tensors nor training nor the coordinator; who is
//! in a group, and when a new one is needed, is decided elsewhere (`convoy-membership`).
//!
//! **Invariant:** a collective belongs to one attempt. It never heals: after the first error every call fails with that
//! error, and a new attempt builds a new collective.
//!
//! **Absent:** timeouts of operations. A vanished host sends nothing; whoever notices it (the coordinator, by missing
//! heartbeats) has the collective aborted through its [`AbortHandle`].

mod abort;
mod buffer;
mod collective;
mod element;
mod error;
mod in_process;
mod operation;
mod ring;
mod verify;

pub use abort::AbortHandle;
pub use buffer::{HostBuffer, SharedBuffer};
pub use collective::{Collective, OpTag, ReadyEvent, Ticket};
pub use element::{Dtype, Element, Elements, ReduceOp};
pub use error::{CollectiveError, Failure};
pub use in_process::InProcess;
pub use ring::{Identity, Peer, RingListener, TcpRing};
pub use verify::verify;
