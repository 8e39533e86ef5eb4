//! What a person sees while a job runs: events as lines that stay, and one progress line.
//!
//! What is said is decided without looking at a terminal or a clock ([`narrator`], [`progress`], [`pace`]); [`screen`]
//! puts it there.

mod closing;
mod narrator;
mod pace;
mod progress;
mod screen;

pub(crate) use closing::{closing_rows, plain_table, table};
pub(crate) use screen::Screen;
