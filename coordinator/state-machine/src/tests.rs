//! Stories of whole jobs, one refusal after another, and random histories.

mod causes;
mod fixtures;
mod properties;
mod refusals;
mod stories;
