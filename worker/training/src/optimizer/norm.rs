//! Lengths of gradients and parameters, the same bits on every machine.

use convoy_torch::FlatBuffer;

use super::Segment;

/// Sums that are kept at once: enough for the widest vectors, and part of the result's definition.
const LANES: usize = 16;

/// The square of the 2-norm of `values`: squares are added in f64, by position modulo 16, then the 16 sums from first to last. No
/// square of an f32 overflows an f64, so that the sum is finite exactly where all values are.
pub(super) fn sum_of_squares(values: &[f32]) -> f64 {
    let mut lanes = [0.0f64; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        add_squares(&mut lanes, chunk);
    }
    add_squares(&mut lanes, rest);
    lanes.iter().sum()
}

fn add_squares(lanes: &mut [f64; LANES], values: &[f32]) {
    for (lane, value) in lanes.iter_mut().zip(values) {
        let value = f64::from(*value);
        *lane += value * value;
    }
}

/// The 2-norm over all parameters, added up in the order of memory.
pub(super) fn global(gradients: &mut FlatBuffer, segments: &[Segment]) -> f64 {
    gradients.with_f32(|values| {
        let squares = segments
            .iter()
            .map(|segment| sum_of_squares(&values[segment.range.clone()]));
        squares.sum::<f64>().sqrt()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_add_up_with_and_without_a_rest() {
        let values: Vec<f32> = (1..=37).map(|v| v as f32).collect();
        let expected = f64::from(37 * 38 * 75 / 6);
        assert!((sum_of_squares(&values) - expected).abs() < 1e-9);
        assert!(sum_of_squares(&[]).abs() < f64::EPSILON);
    }

    #[test]
    fn large_values_do_not_overflow_and_what_is_not_finite_shows() {
        assert!(sum_of_squares(&[f32::MAX; 100]).is_finite());
        assert!(!sum_of_squares(&[1.0, f32::NEG_INFINITY]).is_finite());
        assert!(sum_of_squares(&[f32::NAN, 1.0]).is_nan());
    }
}
