//! Stories of whole jobs, one refusal after another, and whose words count.

mod causes;
mod clients;
mod fences;
mod fixtures;
mod lists;
mod refusals;
mod stories;
mod upgrades;
