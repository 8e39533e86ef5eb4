//! By which powers of two gradients are multiplied to become integers. Pure.
//!
//! The scale of a parameter follows from the largest magnitude that its gradients had in the step before, as in training with 8-bit
//! floats (Micikevicius et al., "FP8 Formats for Deep Learning", 2022, section 4: delayed scaling). What is no power of two would
//! round twice.

/// Gradients may grow eightfold from one step to the next.
const HEADROOM: f64 = 8.0;

/// Exponents for which 2^exponent and its inverse are normal numbers of f32.
const EXPONENTS: std::ops::RangeInclusive<i32> = -126..=126;

/// Of parameters whose gradients were zero: as if they had been as large as this.
const MAGNITUDE_OF_NONE: f32 = 1.0;

/// Bits of an f32's significand.
const SIGNIFICAND_BITS: u32 = 24;

/// The integers that one shard may contribute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scales {
    /// Their largest magnitude: a whole number of f32, so small that the contributions of all shards sum up to an i32.
    limit: f32,
    /// How many they are.
    data_shards: u32,
}

impl Scales {
    /// For jobs with so many shards, at least 1.
    pub(crate) fn new(data_shards: u32) -> Self {
        let most = i32::MAX.cast_unsigned() / data_shards.max(1);
        let spare = (u32::BITS - most.leading_zeros()).saturating_sub(SIGNIFICAND_BITS);
        let limit = (most >> spare << spare) as f32;
        Self { limit, data_shards }
    }

    /// See the field.
    pub(crate) fn limit(self) -> f32 {
        self.limit
    }

    /// The largest exponent at which gradients eight times as large as `magnitude`, which is finite, are within the limit.
    pub(crate) fn exponent(self, magnitude: f32) -> i32 {
        let magnitude = if magnitude == 0.0 {
            MAGNITUDE_OF_NONE
        } else {
            magnitude
        };
        let (room, room_fraction) = parts(f64::from(self.limit) / HEADROOM);
        let (size, size_fraction) = parts(f64::from(magnitude));
        let exponent = room - size - i32::from(size_fraction > room_fraction);
        exponent.clamp(*EXPONENTS.start(), *EXPONENTS.end())
    }

    /// Whether floats hold the sum of a gradient of this magnitude from every shard. One that they don't is no better than a
    /// shard's that is not finite.
    pub(crate) fn have_a_sum(self, magnitude: f32) -> bool {
        f64::from(magnitude) * f64::from(self.data_shards) <= f64::from(f32::MAX)
    }

    /// Whether gradients of this magnitude were not clamped.
    pub(crate) fn fits(self, magnitude: f32, exponent: i32) -> bool {
        f64::from(magnitude) * power_of_two(exponent) <= f64::from(self.limit)
    }
}

/// Exponent and fraction of a positive, finite number that is normal as f64, as every f32 is.
fn parts(value: f64) -> (i32, u64) {
    let bits = value.to_bits();
    let exponent = (bits >> 52) as i32 - 1023;
    (exponent, bits & ((1 << 52) - 1))
}

/// 2^exponent, for exponents of normal numbers of f64.
pub(crate) fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(u64::from((1023 + exponent).cast_unsigned()) << 52)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn limit_is_a_float_as_large_as_it_can_be() {
        let limits = [
            (1, 2_147_483_520),
            (2, 1_073_741_760),
            (3, 715_827_840),
            (8, 268_435_440),
            (4096, 524_287),
        ];
        for (shards, limit) in limits {
            assert_eq!(Scales::new(shards).limit(), limit as f32, "{shards} shards");
        }
    }

    #[test]
    fn magnitude_of_zero_has_a_scale_of_its_own() {
        let scales = Scales::new(8);
        assert_eq!(scales.exponent(0.0), scales.exponent(1.0));
        assert_eq!(scales.exponent(1.0), 24);
    }

    #[test]
    fn extreme_magnitudes_have_scales_that_floats_can_hold() {
        let scales = Scales::new(4);
        assert_eq!(scales.exponent(f32::from_bits(1)), 126);
        assert!(scales.exponent(f32::MAX) >= -126);
        assert!(scales.fits(f32::MAX, scales.exponent(f32::MAX)));
    }

    #[test]
    fn gradients_that_only_their_sum_takes_beyond_floats_have_none() {
        let scales = Scales::new(4);
        assert!(scales.have_a_sum(f32::MAX / 4.0));
        assert!(!scales.have_a_sum(f32::MAX / 3.0));
        assert!(!scales.have_a_sum(f32::INFINITY));
        assert!(!scales.have_a_sum(f32::NAN));
    }

    proptest! {
        #[test]
        fn gradients_may_grow_eightfold_and_use_the_room_they_have(
            bits in 0x0080_0000u32..0x7a00_0000,
            data_shards in 1u32..5_000,
        ) {
            let magnitude = f32::from_bits(bits);
            let scales = Scales::new(data_shards);
            let exponent = scales.exponent(magnitude);
            prop_assert!(scales.fits(magnitude * 8.0, exponent));
            prop_assert!(exponent == 126 || !scales.fits(magnitude * 16.0, exponent));
            prop_assert!(f64::from(scales.limit()) * f64::from(data_shards) <= f64::from(i32::MAX));
            prop_assert!(scales.limit().fract() == 0.0);
        }
    }
}
