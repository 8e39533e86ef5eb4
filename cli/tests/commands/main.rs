//! The built binary, as a person at a terminal meets it: what it prints, where, and with which exit code.

mod checkpoint;
mod fixture;
mod refusals;
mod spec;
