//! One worker process: its session with the coordinator and its training loop.
fn main() {}
