//! The coordinator's replicated state: commands, membership, placement and owed actions; pure.
