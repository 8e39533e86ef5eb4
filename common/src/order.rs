//! The order of the samples of an epoch: a keyed permutation of `[0, n)` with random access in constant memory.
//!
//! A balanced Feistel network over the smallest even number of bits that holds `n`, with cycle walking for the values
//! above it (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002, section 4). It is keyed by
//! `(seed, epoch)` only: no rank and no world size, so that no membership can change which sample comes when.

use crate::ids::EpochIndex;

/// Four rounds of a pseudorandom function give a pseudorandom permutation (Luby and Rackoff, 1988); two more are
/// cheap and make up for a round function that is a mixer and no cipher.
const ROUNDS: usize = 6;

/// The permutation of one epoch.
#[derive(Clone, Debug)]
pub struct SampleOrder {
    samples: u64,
    half_bits: u32,
    keys: [u64; ROUNDS],
}

impl SampleOrder {
    /// The order of `samples` samples in `epoch` of a job with this seed.
    #[must_use]
    pub fn new(seed: u64, epoch: EpochIndex, samples: u64) -> Self {
        let bits = u64::BITS - samples.saturating_sub(1).leading_zeros();
        let half_bits = bits.div_ceil(2).max(1);
        let mut draws = SplitMix64::new(mix(seed ^ spread(u64::from(epoch.0))));
        let keys = std::array::from_fn(|_| draws.draw());
        Self {
            samples,
            half_bits,
            keys,
        }
    }

    /// The sample at `position` of the epoch, `0 <= position < samples`.
    ///
    /// # Panics
    /// If `position` is not below the number of samples: an error of the caller.
    #[must_use]
    pub fn sample_at(&self, position: u64) -> u64 {
        assert!(
            position < self.samples,
            "position {position} of an epoch of {} samples",
            self.samples
        );
        // The domain is less than 4 times `samples`, so that fewer than 4 rounds of walking are expected.
        let mut value = self.permute(position);
        while value >= self.samples {
            value = self.permute(value);
        }
        value
    }

    fn permute(&self, value: u64) -> u64 {
        let mask = (1u64 << self.half_bits) - 1;
        let (mut left, mut right) = (value >> self.half_bits, value & mask);
        for key in self.keys {
            (left, right) = (right, left ^ (mix(right ^ key) & mask));
        }
        (left << self.half_bits) | right
    }
}

/// A value of 64 bits that depends on every bit of `value`: the finaliser of `SplitMix64` (Steele, Lea and Flood, OOPSLA 2014).
#[must_use]
pub fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// As [`mix`], for values of which 0, which `mix` leaves as it is, is one: the first draw of [`SplitMix64`] from `value`.
#[must_use]
pub fn spread(value: u64) -> u64 {
    SplitMix64::new(value).draw()
}

/// Numbers that follow from a seed, with a state of 64 bits: see [`mix`].
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// The numbers of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        // The golden ratio in 64 bits.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }
}

/// The hash of a sample's index that the accounting sums: a set of samples is recognised by the wrapping sum of its hashes.
#[must_use]
pub fn sample_hash(sample: u64) -> u64 {
    spread(sample)
}

/// The accounting's sum over every sample of a dataset of `samples` once: what the sum of a whole epoch must be.
#[must_use]
pub fn dataset_hash_sum(samples: u64) -> u64 {
    (0..samples).map(sample_hash).fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests;
