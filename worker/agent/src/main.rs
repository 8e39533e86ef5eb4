//! The agent of a node: starts, watches and ends one worker process per device slot.
fn main() {}
