//! The wire protocol: types and services generated from `proto/convoy.proto`; no logic.

/// Spoken by both ends of every session; a peer that speaks another is refused with both numbers.
pub const PROTOCOL_VERSION: u32 = 1;

/// Version 1 of the protocol.
pub mod v1 {
    #![expect(missing_docs, reason = "generated; the comments are in convoy.proto")]
    #![allow(
        clippy::all,
        clippy::too_many_lines,
        clippy::wildcard_enum_match_arm,
        reason = "generated"
    )]
    tonic::include_proto!("convoy.v1");
}
