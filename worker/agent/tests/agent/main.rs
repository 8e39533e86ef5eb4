//! The agent as a process, between a coordinator over real gRPC and workers that are real processes.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod configured;
mod coordinator;
mod leaving;
mod logs;
mod processes;
mod workers;
