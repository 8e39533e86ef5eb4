//! Stories of whole jobs, one refusal after another, random histories, and what is kept on disk.

mod causes;
mod clients;
mod codec;
mod fences;
mod fixtures;
mod golden;
mod lists;
mod properties;
mod refusals;
mod sharing;
mod stories;
mod upgrades;
