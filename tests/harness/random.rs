//! Numbers drawn from a seed.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use convoy_common::order::SplitMix64;

/// The same seed draws the same numbers.
#[derive(Clone, Debug)]
pub struct Random(SplitMix64);

impl Random {
    /// Begins to draw.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(SplitMix64::new(seed))
    }

    /// Any number.
    pub fn draw(&mut self) -> u64 {
        self.0.draw()
    }

    /// Below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound
    }

    /// From `least` to `most`, both of which may come.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// True in so many of a thousand cases.
    pub fn chance(&mut self, permille: u64) -> bool {
        self.below(1_000) < permille
    }

    /// One of them; they are not empty.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// Lets up to `most_us` microseconds pass: for what has to happen at some moment, whatever else goes on.
pub fn pass_some_time(random: &mut Random, most_us: u64) {
    std::thread::sleep(Duration::from_micros(random.below(most_us + 1)));
}

/// The number in this variable of the environment, if it is set.
///
/// # Panics
/// If it holds anything else.
#[must_use]
pub fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

/// A seed that was not there before.
#[must_use]
pub fn new_seed() -> u64 {
    RandomState::new().hash_one(0)
}
