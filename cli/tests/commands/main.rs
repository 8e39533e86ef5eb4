//! The built binary, as a person at a terminal meets it: what it prints, where, and with which exit code.

mod checkpoint;
mod cluster;
mod fixture;
mod jobs;
mod refusals;
mod spec;
