//! How processes of one cluster know each other: the cluster key, proofs of knowing it, and where one may listen without.
//!
//! [`Access`] is what a process was told about strangers. [`ClusterKey`] proves: to the other end of a connection by
//! [`ClusterKey::prove`] over what both have said, and on gRPC calls by the `grpc` module (feature `grpc`).
//!
//! **Invariant:** the key itself never leaves its process: not to the wire, not to a log, not into `Debug`; it is wiped from
//! memory when its last holder is dropped. Proofs are compared in constant time.
//!
//! **Absent:** secrecy. What is said can be read and, by someone in between, changed; that is left to TLS. What this
//! keeps out and what not is in `deploy/decisions/0004-cluster-key.md`.

mod access;
mod file;
#[cfg(feature = "grpc")]
pub mod grpc;
mod key;
mod proof;

pub use access::Access;
pub use file::KeyFileError;
pub use key::{ClusterKey, WeakKey};
pub use proof::{NONCE_BYTES, Nonce, PROOF_BYTES, Proof, Role};
