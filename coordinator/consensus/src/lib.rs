//! Raft for the coordinator: one replica of the log, as a state machine that is driven from outside.
//!
//! [`Replica`] puts raft-rs, the journal and its snapshots together. Ticks, messages and proposals come in;
//! [`Replica::advance`] does what is due in the order that durability asks for, hands messages to a closure and
//! everything else to an [`Output`].
//!
//! **Invariants.** What a message promises is on the disk before the message leaves. A command is handed out once,
//! in order, after a majority has it on disk. A read is answered with an index that contains every write that was
//! acknowledged before the read began.
//!
//! **Boundary.** No other crate knows raft-rs. Bytes of peers and of entries are parsed as our own prost types and
//! converted ([`wire`]); protobuf 2.28, which raft-rs links, never sees a byte that came from elsewhere.
//!
//! **Absent:** clocks, threads, sockets, randomness, the meaning of commands, addresses of replicas.
//!
//! # How raft-rs has to be used
//! - `batch_append` stays off: with it an acknowledgement can cover entries that the follower lacks. Many commands are
//!   batched into one entry instead.
//! - Election timeouts are set after every call, drawn from [`ReplicaConfig::seed`]: raft-rs draws them from the
//!   thread's generator, and a simulation could not be replayed.
//! - A change of the committed index alone is not written; it goes with the next group. So a replica that has a
//!   change of members in its log also has, from the same write, the fact that the change before it is committed, and
//!   never votes with a membership that is older than that.
//! - A leader that is no longer a voter steps down at once: raft-rs would panic when it next commits.
//! - A snapshot that does not name the replica it is for is ignored by it, and would be sent for ever: another is
//!   asked for instead.
//! - Messages that would panic raft-rs are refused before it sees them.

mod births;
mod config;
mod error;
mod logger;
mod membership;
mod output;
mod payload;
mod proposals;
mod random;
mod reads;
mod replica;
mod storage;
mod wire;

#[cfg(test)]
mod tests;

pub use config::{ReplicaConfig, ReplicaLimits};
pub use convoy_common::ids::ReplicaId;
pub use error::{Fatal, Refused, Rejected, ReplicaError};
pub use membership::{Members, MembershipChange};
pub use output::{
    Committed, Output, PeerStatus, ProposalId, ReadId, Role, SnapshotToSend, Start, Status,
};
pub use replica::{Mutation, Replica, Step};
