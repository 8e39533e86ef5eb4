//! The wire protocol: types and services generated from the files in `proto/`; no logic.

/// Spoken by both ends of every session; a peer that speaks another is refused with both numbers.
pub const PROTOCOL_VERSION: u32 = 1;

/// Version 1 of the protocol.
pub mod v1 {
    #![expect(
        missing_docs,
        reason = "generated; the comments are in convoy.proto and cluster.proto"
    )]
    #![allow(
        clippy::all,
        clippy::too_many_lines,
        clippy::wildcard_enum_match_arm,
        reason = "generated"
    )]
    tonic::include_proto!("convoy.v1");
}

/// What the coordinator's replicas say to each other.
pub mod raft {
    /// Spoken by all replicas; one that speaks another is refused with both numbers.
    pub const PROTOCOL_VERSION: u32 = 1;

    /// Version 1 of it.
    pub mod v1 {
        #![expect(missing_docs, reason = "generated; the comments are in raft.proto")]
        #![allow(
            clippy::all,
            clippy::too_many_lines,
            clippy::wildcard_enum_match_arm,
            reason = "generated"
        )]
        tonic::include_proto!("convoy.raft.v1");
    }
}
